import { alongSeat, alongShared } from '../core/along.js';
import { subsystemsOf } from '../core/classes.js';
import { sharedSeat } from '../core/decide.js';
import { glob } from '../core/glob.js';
import { type Fact, kindTests, type Stream, streamLetters } from '../core/kind.js';
import { accessTags, masterTag, powerTag } from '../core/last-word.js';
import { lent } from '../core/loan.js';
import { propertyKey } from '../core/match.js';
import type { Condition, Policy, Rule } from '../core/policy.js';
import { canonicalPort, namesBus, pathWithBus, portPatterns } from '../core/port.js';

/** Set for one event by the agent's own rules: those that are installed for a boot do nothing then. */
export const liveFlag = '.HOTSEAT_LIVE';

/** The link by which the host has a desktop of its own (systemd.special(7)): each display manager's package makes it. */
export const displayManager = '/etc/systemd/system/display-manager.service';

/**
 * A policy as udev rules, for a file that sorts after `72-seat-*` (the words of `loginctl attach`) and before
 * `73-seat-late` (which makes children inherit and grants `uaccess`). They set properties and take tags away; they run
 * no program, only a builtin of udev that takes access away from users of the host (udev-builtin-uaccess.c). Names that begin with a dot live for one event only and reach no database (udev(7)). Hubs are marked as
 * well, and devices on them inherit the mark. So after an installation of the rules, udevd must look at all USB devices
 * again.
 */
export function compileRules(policy: Policy): string {
  return `# Made by Hotseat from its seat files; changes here are overwritten.
ENV{${liveFlag}}="1"
${compileBody(policy)}`;
}

/** The rules for each device. They end at the label `hotseat_end`. */
export function compileBody(policy: Policy): string {
  const lines = [
    'ACTION=="remove", GOTO="hotseat_end"',
    'SUBSYSTEM!="input|sound|drm", GOTO="hotseat_other"',
    'SUBSYSTEM=="input", KERNEL!="input[0-9]*", GOTO="hotseat_child"',
    'SUBSYSTEM=="sound", KERNEL!="card[0-9]*", GOTO="hotseat_child"',
    'SUBSYSTEM=="drm", KERNEL=="card*-*", GOTO="hotseat_child"',
    "# The admin's word, here or further up, is kept before ours takes its place. Our own word further up does not count.",
    'IMPORT{parent}="HOTSEAT_SEAT"',
    'ENV{HOTSEAT_SEAT}=="?*", ENV{.HOTSEAT_UPSTREAM}="1"',
    'ENV{HOTSEAT_SEAT}=="?*", ENV{HOTSEAT_SEAT}=""',
    'IMPORT{parent}="HOTSEAT_ADMIN_SEAT"',
    'ENV{ID_SEAT}=="", ENV{.HOTSEAT_UPSTREAM}=="", IMPORT{parent}="ID_SEAT"',
    'ENV{ID_SEAT}!="", ENV{HOTSEAT_ADMIN_SEAT}="$env{ID_SEAT}"',
    ...soundIdentity(policy),
    ...soundStreams(policy),
  ];
  for (const { seat, rules } of policy.seats) {
    lines.push(`# ${seat}`);
    // Nodes that join seats belong to no user of the host either.
    for (const rule of rules) if (!rule.byName) lines.push(...compileRule(seat, rule));
  }
  lines.push(
    ...compileLoans(policy),
    ...resolve(policy, alongLines(policy.seats.filter(({ rules }) => rules.some(({ whole }) => whole)))),
    '# Nobody wants it: the seat of what it hangs on is not its own.',
    'ENV{HOTSEAT_SEAT}=="", ENV{ID_SEAT}=="", ENV{HOTSEAT_ADMIN_SEAT}=="?*", ENV{ID_SEAT}="$env{HOTSEAT_ADMIN_SEAT}"',
    'ENV{HOTSEAT_SEAT}=="", ENV{ID_SEAT}=="", ENV{.HOTSEAT_UPSTREAM}=="1", ENV{ID_SEAT}="seat0"',
    'GOTO="hotseat_apply"',
    ...compileHubs(policy),
    'LABEL="hotseat_child"',
    'IMPORT{parent}="HOTSEAT_SEAT"',
    'LABEL="hotseat_apply"',
    '# The host steps back: no seat of its own, no access for its users, no power key for logind.',
    `ENV{HOTSEAT_SEAT}=="?*", ENV{ID_SEAT}="$env{HOTSEAT_SEAT}", TAG-="${powerTag}"` +
      accessTags.map((tag) => `, TAG-="${tag}"`).join(''),
    '# Access that users of the host got by such a tag before goes: nobody is logged in at a seat of ours.',
    `ENV{HOTSEAT_SEAT}=="?*", ENV{MAJOR}!="", RUN{builtin}+="uaccess"`,
    '# A display manager starts on every seat that logind has, and logind has each seat that has such a card.',
    `SUBSYSTEM=="drm", ENV{HOTSEAT_SEAT}=="?*", TEST=="${displayManager}", TAG-="${masterTag}"`,
    'LABEL="hotseat_end"',
  );
  return `${lines.join('\n')}\n`;
}

/** One seat wants it, or several: the marks of the seats become the seat on the host. */
function resolve(policy: Policy, along: readonly string[] = []): string[] {
  const lines = ['# One seat wants it, or several.'];
  for (const { seat } of policy.seats) {
    const wants = `${env(mark(seat), '==', '1')}, `;
    lines.push(`${wants}${env('.HOTSEAT_HOST_SEAT', '==', '?*')}, ${env('.HOTSEAT_HOST_SEAT', '=', sharedSeat)}`);
    lines.push(`${wants}${env('.HOTSEAT_HOST_SEAT', '==', '')}, ${env('.HOTSEAT_HOST_SEAT', '=', `seat-${seat}`)}`);
  }
  return [...lines, ...along, `${env('.HOTSEAT_HOST_SEAT', '==', '?*')}, ENV{HOTSEAT_SEAT}="$env{.HOTSEAT_HOST_SEAT}"`];
}

/**
 * A unit that no rule asks for comes along with other parts of its physical device. Only the agent knows that, and says
 * so in an argument of an event. It is kept for events that others ask for, and counts for as long as a rule of that
 * seat says so. `only`: a token for the devices that the lines are for.
 */
function alongLines(seats: Policy['seats'], only?: string): string[] {
  if (seats.length === 0) return [];
  const where = only === undefined ? [] : [only];
  const comes = (argument: string, seat: string): string =>
    [
      ...where,
      env('.HOTSEAT_HOST_SEAT', '==', ''),
      env('HOTSEAT_WITH', '==', argument),
      env('.HOTSEAT_HOST_SEAT', '=', seat),
    ].join(', ');
  return [
    '# The same physical device as something that a seat has, as the agent said.',
    [...where, 'ENV{SYNTH_ARG_HOTSEAT}=="", IMPORT{db}="HOTSEAT_WITH"'].join(', '),
    [...where, 'ENV{SYNTH_ARG_HOTSEAT}=="?*", ENV{HOTSEAT_WITH}="$env{SYNTH_ARG_HOTSEAT}"'].join(', '),
    ...seats.map(({ seat }) => comes(alongSeat(seat), `seat-${seat}`)),
    comes(alongShared, sharedSeat),
  ];
}

/**
 * A sound card gets its properties from `78-sound-card`, after us, and only on `change`. A policy that names sound
 * cards by it has the same builtin and the same attributes read here.
 */
function soundIdentity(policy: Policy): string[] {
  const rules = [...policy.seats.flatMap((seat) => seat.rules), ...lent(policy).map(({ rule }) => rule)];
  const asked = rules.some(asksSoundIdentity);
  if (!asked) return [];
  return [
    '# What 78-sound-card will say of a card, said before the seat is decided.',
    'SUBSYSTEM=="sound", SUBSYSTEMS=="usb", IMPORT{builtin}="usb_id"',
    'SUBSYSTEM=="sound", ENV{ID_BUS}=="", SUBSYSTEMS=="pci", ENV{ID_BUS}="pci", ENV{ID_VENDOR_ID}="$attr{vendor}", ENV{ID_MODEL_ID}="$attr{device}"',
  ];
}

/** A rule that names no subsystem can want a sound card, too. */
const asksSoundIdentity = (rule: Rule): boolean =>
  subsystemsOf(rule).includes('sound') &&
  rule.conditions.some((condition) => condition.on === 'property' && !/^ID_(SEAT|PATH|INPUT)/.test(condition.key));

/**
 * Hubs at or below a port that a rule names and asks nothing else of: such a rule wants all that hangs there.
 * Everything that is not an input, a sound card or a graphics card takes over the seat of its parent.
 */
function compileHubs(policy: Policy): string[] {
  const hub = 'SUBSYSTEM=="usb", ENV{DEVTYPE}=="usb_device", ATTR{bDeviceClass}=="09"';
  const wanted = policy.seats.flatMap(({ seat, rules }) =>
    rules.flatMap(({ conditions }) => {
      const [only, ...others] = conditions;
      if (only?.on !== 'port' || only.negate || others.length > 0) return [];
      return compileCondition(only).map((tokens) => [hub, ...tokens, env(mark(seat), '=', '1')].join(', '));
    }),
  );
  return [
    'LABEL="hotseat_other"',
    'IMPORT{parent}="HOTSEAT_ADMIN_SEAT"',
    'IMPORT{parent}="HOTSEAT_SEAT"',
    'ENV{ID_SEAT}=="", ENV{HOTSEAT_SEAT}=="", IMPORT{parent}="ID_SEAT"',
    'ENV{ID_SEAT}!="", ENV{HOTSEAT_ADMIN_SEAT}="$env{ID_SEAT}"',
    ...wanted,
    ...compileRaws(policy),
    // A program that opens a raw node reads the inputs of its device, whether a rule asks for it or not.
    ...resolve(policy, alongLines(policy.seats, 'SUBSYSTEM=="hidraw"')),
    'GOTO="hotseat_apply"',
  ];
}

const asksRaw = ({ hidraw }: Rule): boolean => hidraw;

/**
 * Raw nodes of HID devices that have no input, for rules that ask for such. udev says neither their place nor their
 * kind, unless it is asked; a device with inputs has them before its raw node (hid-core.c, hid_connect).
 */
function compileRaws(policy: Policy): string[] {
  const alone = 'SUBSYSTEM=="hidraw", TEST!="device/input"';
  const lines = policy.seats.flatMap(({ seat, rules }) =>
    rules
      .filter(asksRaw)
      .flatMap((rule) =>
        alternativesOf(rule).map((tokens) => [alone, ...tokens, env(mark(seat), '=', '1')].join(', ')),
      ),
  );
  if (lines.length === 0) return [];
  return [
    '# Raw HID devices without an input.',
    `${alone}, IMPORT{builtin}="path_id"`,
    `${alone}, SUBSYSTEMS=="usb", IMPORT{builtin}="usb_id"`,
    ...lines,
  ];
}

/**
 * Devices that were given to a seat by hand: the first match sets the mark of that seat and takes away the marks of all
 * others.
 */
function compileLoans(policy: Policy): string[] {
  const unmarked = (seat: string) =>
    policy.seats.map((other) => env(mark(other.seat), '=', other.seat === seat ? '1' : ''));
  const lines = lent(policy)
    .filter(({ rule }) => !rule.byName)
    .flatMap(({ seat, rule }) =>
      alternativesOf(rule).map((tokens) =>
        [env('.HOTSEAT_LENT', '==', ''), ...tokens, env('.HOTSEAT_LENT', '=', '1'), ...unmarked(seat)].join(', '),
      ),
    );
  return lines.length === 0 ? [] : ['# By hand, against the seat files.', ...lines];
}

/** Several lines where alternatives look at different keys: the first line that matches sets the mark. */
const compileRule = (seat: string, rule: Rule): string[] =>
  alternativesOf(rule).map((tokens) => [...tokens, env(mark(seat), '=', '1')].join(', '));

/** How many lines of udev's rules a rule takes: conditions that are alternatives multiply. */
export const linesOf = ({ conditions }: Pick<Rule, 'conditions'>): number =>
  conditions.reduce((lines, condition) => lines * compileCondition(condition).length, 1);

function alternativesOf(rule: Rule): string[][] {
  const alternatives = rule.conditions.reduce<string[][]>(
    (lines, condition) => lines.flatMap((line) => compileCondition(condition).map((tokens) => [...line, ...tokens])),
    [[]],
  );
  // udevd warns of a line with one expression twice (`kind: sound` beside `subsystem: sound`).
  return alternatives.map((tokens) => [...new Set(tokens)]);
}

/** Alternatives of one condition, each a list of tokens that must all hold. */
function compileCondition(condition: Condition): string[][] {
  if (condition.on === 'attribute') return [[`ATTRS{${condition.key}}==${value(condition.patterns)}`]];
  const operator = condition.negate ? '!=' : '==';
  switch (condition.on) {
    case 'subsystem':
      return [[`SUBSYSTEM${operator}${value(condition.patterns)}`]];
    case 'sysname':
      return compileSysname(condition.patterns, condition.negate);
    case 'property':
      return [[`ENV{${propertyKey(condition.key)}}${operator}${value(condition.patterns)}`]];
    case 'port':
      return compilePort(condition.patterns, condition.negate);
    case 'kind': {
      // Each once: "not any of them" needs a line for every way not to match.
      const kinds = [...new Set(condition.patterns)].map((kind) => kindTests[kind]);
      // "a or b" is a line for each; "not a or b" is neither, and "not a thing" is every device that fails one of the
      // thing's tests.
      if (!condition.negate) return kinds.map((facts) => facts.map((fact) => factToken(fact, '==')));
      return kinds.reduce<string[][]>(
        (lines, facts) => lines.flatMap((line) => facts.map((fact) => [...line, factToken(fact, '!=')])),
        [[]],
      );
    }
  }
}

/** A port that names the bus is held against the path that has it, and where udev makes no such path against the other one. */
function compilePort(ports: readonly string[], negate: boolean): string[][] {
  const operator = negate ? '!=' : '==';
  const path = (key: string, of: readonly string[]): string[] =>
    of.length === 0 ? [] : [`ENV{${key}}${operator}${value(of.flatMap(portPatterns))}`];
  const plain = ports.filter((port) => !namesBus(port));
  const busses = ports.filter(namesBus);
  if (busses.length === 0) return [path('ID_PATH', plain)];
  const withBus = [env(pathWithBus, '==', '?*'), ...path(pathWithBus, busses)];
  const without = (of: readonly string[]): string[] => [
    env(pathWithBus, '==', ''),
    ...path('ID_PATH', of.map(canonicalPort)),
  ];
  if (negate) return [[...path('ID_PATH', plain), ...withBus], without(ports)];
  return [...(plain.length === 0 ? [] : [path('ID_PATH', plain)]), withBus, without(busses)];
}

function factToken(fact: Fact, operator: '==' | '!='): string {
  switch (fact.on) {
    case 'property': {
      const other = operator === '==' ? '!=' : '==';
      return env(fact.property, fact.negate === true ? other : operator, '1');
    }
    case 'subsystem':
      return `SUBSYSTEM${operator}"${fact.subsystem}"`;
    case 'path':
      return `DEVPATH${operator}${value([fact.pattern])}`;
    case 'stream':
      return env(streamMarks[fact.stream], operator, '1');
  }
}

const streamMarks: Readonly<Record<Stream, string>> = { capture: '.HOTSEAT_CAPTURE', playback: '.HOTSEAT_PLAYBACK' };

/** More PCM devices than this has no card (sound/core/pcm.c, SNDRV_PCM_DEVICES, and snd-hda's own limit). */
const pcms = 32;

/** Which way a sound card plays, where a policy asks for it: udev can only ask for a node by its full name. */
function soundStreams(policy: Policy): string[] {
  return (['capture', 'playback'] as const).flatMap((stream) => {
    const isAsked = (condition: Condition): boolean =>
      condition.on === 'kind' &&
      condition.patterns.some((kind) => kindTests[kind].some((fact) => fact.on === 'stream' && fact.stream === stream));
    if (!policy.seats.some(({ rules }) => rules.some(({ conditions }) => conditions.some(isAsked)))) return [];
    return Array.from(
      { length: pcms },
      (_, index) =>
        `SUBSYSTEM=="sound", TEST=="pcmC%nD${index}${streamLetters[stream]}", ${env(streamMarks[stream], '=', '1')}`,
    );
  });
}

/** More graphics cards than this are not told from each other by their kernel names. */
const cards = Array.from({ length: 16 }, (_, index) => `card${index}`);

/** The name is the head's; a render node is judged by the card beside it, which udev can only ask for by its full name. */
function compileSysname(patterns: readonly string[], negate: boolean): string[][] {
  const render = 'KERNEL=="renderD*"';
  const named = cards.filter((card) => patterns.some((pattern) => glob(pattern, card)));
  const beside = (operator: string) => named.map((card) => `TEST${operator}"device/drm/${card}"`);
  const own = `KERNEL${negate ? '!=' : '=='}${value(patterns)}, KERNEL!="renderD*"`;
  if (negate) return [[own], [render, ...beside('!=')]];
  return [[own], ...beside('==').map((test) => [render, test])];
}

const env = (key: string, operator: string, text: string): string => `ENV{${key}}${operator}${value([text])}`;

/** Seat names have no character that could not stand in a property's name, but for the hyphen. */
const mark = (seat: string): string => `.HOTSEAT_WANTED_${seat.replaceAll('-', '_')}`;

/**
 * A quoted value. The schema has refused texts that cannot be quoted. This checks again, because a quote or a newline
 * would become another rule.
 */
function value(patterns: readonly string[]): string {
  for (const pattern of patterns) {
    if (/["|\\\p{Cc}]/u.test(pattern)) throw new Error(`not a value for a udev rule: ${JSON.stringify(pattern)}`);
  }
  return `"${patterns.join('|')}"`;
}
