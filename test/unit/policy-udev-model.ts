import type { Device } from '../../agent/core/device.js';

/** One `KEY{attribute}operator"value"` of a rule. */
export interface Token {
  readonly key: string;
  readonly attribute: string | undefined;
  readonly operator: string;
  readonly value: string;
}

/** Reads rules as udevd does (udev-rules.c, parse_line): throws on anything that is not a whole line of tokens. */
export function tokens(text: string): Token[][] {
  return text
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map((line) => {
      const found: Token[] = [];
      const next = /([A-Z]+)(?:\{([^}"]*)\})?(==|!=|\+=|-=|:=|=)"([^"\\]*)"(?:, |$)/y;
      while (next.lastIndex < line.length) {
        const match = next.exec(line);
        if (match === null) throw new Error(`not a rule: ${line}`);
        const [, key = '', attribute, operator = '', value = ''] = match;
        found.push({ key, attribute, operator, value });
      }
      return found;
    });
}

/** The properties of a device before our rules run, and the files in its directory. */
export interface Modelled {
  readonly device: Device;
  readonly parent: Readonly<Record<string, string>>;
  readonly files: readonly string[];
  /** The properties that builtins would give the device; none without a call of theirs. */
  readonly builtins?: Readonly<Record<string, Readonly<Record<string, string>>>>;
}

/** Runs rules on one event of one device and returns its properties afterwards: as much of udevd as our rules use. */
export function run(
  rules: readonly Token[][],
  { device, parent, files, builtins = {} }: Modelled,
): Record<string, string> {
  const env: Record<string, string> = { ...device.properties };
  let awaited: string | undefined;
  for (const line of rules) {
    const label = line.find(({ key }) => key === 'LABEL')?.value;
    if (awaited !== undefined && label !== awaited) continue;
    awaited = undefined;
    if (!line.filter(isMatch).every((token) => holds(token, device, env, files)) || !attributesHold(line, device))
      continue;
    for (const { key, attribute = '', operator, value } of line) {
      if (key === 'GOTO') awaited = value;
      if (key === 'IMPORT' && attribute === 'parent' && parent[value] !== undefined) env[value] = parent[value];
      if (key === 'IMPORT' && attribute === 'builtin') Object.assign(env, builtins[value]);
      if (key === 'ENV' && operator === '=') {
        const text = value.replace(/\$env\{([^}]*)\}/g, (_, name: string) => env[name] ?? '');
        if (text === '') delete env[attribute];
        else env[attribute] = text;
      }
    }
  }
  return env;
}

const isMatch = ({ operator }: Token): boolean => operator === '==' || operator === '!=';

function holds(token: Token, device: Device, env: Record<string, string>, files: readonly string[]): boolean {
  const { key, attribute = '', operator, value } = token;
  const wanted = operator === '==';
  switch (key) {
    case 'ACTION':
      return any(value, 'add') === wanted;
    case 'SUBSYSTEM':
      return any(value, device.subsystem) === wanted;
    case 'KERNEL':
      return any(value, device.sysname) === wanted;
    case 'ENV':
      return any(value, env[attribute] ?? '') === wanted;
    case 'ATTR':
      return any(value, device.attributes[attribute] ?? '\0') === wanted;
    case 'TEST':
      return files.includes(value.replace('%n', /\d*$/.exec(device.sysname)?.[0] ?? '')) === wanted;
    case 'DEVPATH':
      return any(value, device.syspath.slice('/sys'.length)) === wanted;
    case 'SUBSYSTEMS':
      return [device, ...device.ancestors].some(({ subsystem }) => any(value, subsystem ?? '')) === wanted;
    case 'ATTRS':
      return true;
    default:
      throw new Error(`the model knows no ${key}`);
  }
}

/** All ATTRS of a line on one and the same device. */
function attributesHold(line: readonly Token[], device: Device): boolean {
  const wanted = line.filter(({ key }) => key === 'ATTRS');
  return (
    wanted.length === 0 ||
    [device, ...device.ancestors].some(({ attributes }) =>
      wanted.every(
        ({ attribute = '', value }) => attributes[attribute] !== undefined && any(value, attributes[attribute]),
      ),
    )
  );
}

const any = (value: string, text: string): boolean => value.split('|').some((one) => reference(one, text));

/** fnmatch as its manual says it, without a thought for time: the quick one is compared with it. */
export function reference(pattern: string, text: string): boolean {
  const bytes = (string: string) => Buffer.from(string, 'utf8').toString('latin1');
  return slow(bytes(pattern), bytes(text));
}

function slow(pattern: string, text: string): boolean {
  const [first] = pattern;
  if (first === undefined) return text === '';
  if (first === '*') return slow(pattern.slice(1), text) || (text !== '' && slow(pattern, text.slice(1)));
  const [char] = text;
  if (char === undefined) return false;
  const set = /^\[(?:([!^])|(?![!^]))(\][^\]]*|[^\]]+)\]/.exec(pattern);
  if (first === '[' && set !== null) {
    const [whole, negation, members = ''] = set;
    return member(members, char) === (negation === undefined) && slow(pattern.slice(whole.length), text.slice(1));
  }
  return (first === '?' || first === char) && slow(pattern.slice(1), text.slice(1));
}

function member(members: string, char: string): boolean {
  const range = /^(.)-(.)/s.exec(members);
  if (members === '') return false;
  if (range === null) return members[0] === char || member(members.slice(1), char);
  const [whole, from = '', to = ''] = range;
  return (from <= char && char <= to) || member(members.slice(whole.length), char);
}
