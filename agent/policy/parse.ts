import { isJointName } from '../core/device.js';
import { isPlainName } from '../core/plain.js';
import {
  type Condition,
  type Diagnostic,
  type Kind,
  type Place,
  type Receipt,
  type Resources,
  type Rule,
  resourceNames,
  type SeatPolicy,
} from '../core/policy.js';
import { known, type Locate, unknownProperties } from './explain.js';
import { neverMatching } from './never.js';
import { neverTogether } from './never-together.js';
import { bytesOf, type HostFile, hostFile, list, type MatchFile, type SeatFile, seatFile } from './schema.js';
import { linesOf } from './udev-rules.js';
import { readYaml } from './yaml.js';

/** udevd drops lines of 16 KiB (UTIL_LINE_SIZE), and a port takes twice its length in one. */
const longestMatch = 4000;

/** A rule may take so many lines of udev's rules. */
const mostLines = 500;

/** A seat file's text as a policy, or everything that is wrong with it at once. `file` is its name for people. */
export function parseSeat(
  file: string,
  text: string,
):
  | { readonly seat: SeatPolicy; readonly hosts: readonly string[]; readonly place: Place }
  | { readonly diagnostics: Diagnostic[] } {
  const parsed = readYaml(file, text, seatFile, {
    concerns: known,
    more: (...file) => [...unknownProperties(...file), ...neverMatching(...file)],
  });
  if ('diagnostics' in parsed) return parsed;
  const { value, place } = parsed;
  const long = value.devices.flatMap(({ match }, index): Diagnostic[] =>
    JSON.stringify(match).length <= longestMatch
      ? []
      : [
          {
            place: place(['devices', index, 'match']),
            message: `"match" is longer than ${longestMatch} characters`,
            remedy: 'write several devices',
          },
        ],
  );
  if (long.length > 0) return { diagnostics: long };
  const extras = [...new Set(list(value.extra ?? []))];
  const nodes = extras.filter(isPlainName);
  const seat: SeatPolicy = {
    seat: value.seat,
    container: value.container,
    rules: [
      ...value.devices.map((rule, index) => toRule(rule, place(['devices', index]), value.receive)),
      ...extras.filter(isJointName).map((node) => extraRule(node, place(['extra']))),
    ],
    ...(nodes.length === 0 ? {} : { nodes: nodes.map((name) => ({ name, place: place(['extra']) })) }),
    ...(value.receive === undefined ? {} : { receive: value.receive }),
    ...(value.resources === undefined ? {} : { resources: toResources(value.resources, place) }),
    file,
  };
  const contradictions = value.devices.flatMap(({ match }, index): Diagnostic[] => {
    const never = neverTogether(conditionsOf(match));
    if (never === undefined) return [];
    const { key, ...said } = never;
    return [{ place: place(['devices', index, 'match', ...(key === undefined ? [] : [key])]), ...said }];
  });
  const unfit = value.devices.flatMap((rule, index) => unfitForOutputs(rule, (key) => place(['devices', index, key])));
  if (contradictions.length + unfit.length > 0) return { diagnostics: [...contradictions, ...unfit] };
  const wide = value.devices.flatMap(({ match }, index): Diagnostic[] => {
    const lines = linesOf({ conditions: conditionsOf(match) });
    if (lines <= mostLines) return [];
    const message = `"match" has ${lines} alternatives, each of which is a rule for udev`;
    return [
      { place: place(['devices', index, 'match']), message, remedy: `write several devices: at most ${mostLines}` },
    ];
  });
  if (wide.length > 0) return { diagnostics: wide };
  return { seat, hosts: list(value.hosts ?? '*'), place: place(['seat']) };
}

/** Keys that a rule for outputs cannot have as well. */
function unfitForOutputs(rule: SeatFile['devices'][number], place: (key: string) => Place): Diagnostic[] {
  if (rule.match.connector === undefined) {
    if (rule.render === undefined) return [];
    const message = '"render" without "connector": a whole card comes with its render node';
    return [{ place: place('render'), message, remedy: 'remove "render"' }];
  }
  const never = { share: 'an output has one seat', whole: 'an output comes without its card' };
  return (['share', 'whole'] as const).flatMap((key) =>
    rule[key] === 'true'
      ? [{ place: place(key), message: `"${key}" beside "connector": ${never[key]}`, remedy: `remove "${key}"` }]
      : [],
  );
}

/** `host.yaml`: the host's own consoles. */
export function parseHost(file: string, text: string): HostFile | { readonly diagnostics: Diagnostic[] } {
  const parsed = readYaml(file, text, hostFile);
  return 'diagnostics' in parsed ? parsed : parsed.value;
}

/** `usual`: how the seat receives devices of rules that say nothing else. */
function toRule(rule: SeatFile['devices'][number], place: Place, usual: Receipt | undefined): Rule {
  const { connector } = rule.match;
  const receive = rule.receive ?? usual;
  const isOutput = connector !== undefined;
  return {
    label: rule.label,
    place,
    conditions: conditionsOf(rule.match),
    share: rule.share === 'true',
    whole: rule.whole === undefined ? rule.match.kind !== undefined && !isOutput : rule.whole === 'true',
    ...(connector === undefined ? {} : { connectors: list(connector) }),
    ...(rule.render === 'true' ? { render: true } : {}),
    access: {
      owner: rule.owner,
      group: rule.group,
      mode: rule.mode === undefined ? undefined : Number.parseInt(rule.mode, 8),
    },
    hidraw: rule.hidraw === 'true',
    ...(receive === undefined ? {} : { receive }),
    byName: false,
    revoke: rule.revoke ?? 'auto',
  };
}

/** Texts that the schema has let through, as numbers. */
function toResources(asked: NonNullable<SeatFile['resources']>, place: Locate): Resources {
  const found = resourceNames.flatMap((name) => {
    const text = asked[name];
    const value = text !== undefined && name === 'memory' ? bytesOf(text) : Number(text);
    return text === undefined ? [] : [[name, { value, place: place(['resources', name]) }] as const];
  });
  return Object.fromEntries(found);
}

/** `extra: snd/seq`: these nodes join seats anyway, so all seats that name one share it. */
function extraRule(node: string, place: Place): Rule {
  const sysname: Condition = { on: 'sysname', patterns: [node.slice('snd/'.length)], negate: false };
  const what = { label: node, place, conditions: [sysname] };
  return { ...what, share: true, whole: false, access: {}, hidraw: false, byName: true, revoke: 'auto' };
}

function conditionsOf({ not, attr, connector, ...rest }: MatchFile): Condition[] {
  return [
    ...conditions(rest, false),
    // Nothing else has connectors; said, so that udev's own reading is the same.
    ...(connector === undefined || rest.subsystem === 'drm'
      ? []
      : [{ on: 'subsystem' as const, patterns: ['drm'], negate: false }]),
    ...Object.entries(attr ?? {}).map(([key, value]): Condition => ({ on: 'attribute', key, patterns: list(value) })),
    ...(not === undefined ? [] : conditions(not, true)),
  ];
}

function conditions(match: Omit<MatchFile, 'not' | 'attr'>, negate: boolean): Condition[] {
  const { subsystem, sysname, kind, port, ...properties } = match;
  return [
    ...(subsystem === undefined ? [] : [{ on: 'subsystem' as const, patterns: list(subsystem), negate }]),
    ...(kind === undefined ? [] : [{ on: 'kind' as const, patterns: list(kind as Kind | Kind[]), negate }]),
    ...(port === undefined ? [] : [{ on: 'port' as const, patterns: list(port), negate }]),
    ...(sysname === undefined ? [] : [{ on: 'sysname' as const, patterns: list(sysname), negate }]),
    ...Object.entries(properties).map(
      ([key, value]): Condition => ({ on: 'property', key, patterns: list(value as string | string[]), negate }),
    ),
  ];
}
