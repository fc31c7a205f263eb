import type { Node } from 'yaml';
import { subsystemsOf } from '../core/classes.js';
import { glob, literalPart } from '../core/glob.js';
import type { Condition, Diagnostic } from '../core/policy.js';
import type { At, Locate } from './explain.js';

/** What is wrong with a text that no device can have, and what to write instead. */
export interface Never {
  readonly message: string;
  readonly remedy: string;
}

type Test = (pattern: string) => string | undefined;

/**
 * Texts that udev never gives to any device, although they look like it: a rule with one matches nothing, and a `not` with
 * one always holds. By key: the text to write instead, undefined where the pattern can match.
 */
const ofProperties: readonly { readonly names: RegExp; readonly why: string; readonly instead: Test }[] = [
  {
    // The kernel puts these into quotes (drivers/input/input.c, input_dev_uevent).
    names: /^(NAME|PHYS|UNIQ)$/,
    why: 'has quotes in it, which no pattern can have',
    instead: (pattern) => (pattern === '' || (/^[*?[]/.test(pattern) && /[*?\]]$/.test(pattern)) ? undefined : pattern),
  },
  {
    // input_id sets 1 or nothing (systemd, udev-builtin-input_id.c).
    names:
      /^ID_INPUT(_(KEY|KEYBOARD|MOUSE|TOUCHPAD|TOUCHSCREEN|TABLET|TABLET_PAD|JOYSTICK|ACCELEROMETER|POINTINGSTICK|TRACKBALL|SWITCH))?$/,
    why: 'is 1 or not set',
    instead: (pattern) => (glob(pattern, '1') || glob(pattern, '') ? undefined : '1'),
  },
  {
    // What a device says of itself is cleaned before it becomes a property (systemd, udev_replace_whitespace).
    names: /^ID_(VENDOR|MODEL|SERIAL|SERIAL_SHORT|REVISION|BUS|TYPE|PATH|PATH_TAG|VENDOR_ID|MODEL_ID)(_ENC)?$/,
    why: 'has no space in it: udev writes _',
    instead: (pattern) => (pattern.includes(' ') ? pattern.replaceAll(' ', '_') : undefined),
  },
  {
    names: /^ID_PATH$/,
    why: 'has another form',
    instead: (pattern) => (isLiteral(pattern) ? portInstead(pattern) : undefined),
  },
  {
    names: /^ID_(VENDOR|MODEL)_ID$/,
    why: 'is in small letters',
    instead: (pattern) =>
      /^(0[xX])?[0-9a-fA-F]{1,4}$/.test(pattern) && /[A-FX]/.test(pattern) ? pattern.toLowerCase() : undefined,
  },
];

/** Attributes that are hexadecimal: what stands before the digits, and how many there are. */
const hexadecimal: Readonly<Record<string, { readonly prefix: string; readonly digits: number }>> = {
  ...Object.fromEntries(
    ['idVendor', 'idProduct', 'id/vendor', 'id/product', 'id/bustype'].map((name) => [name, { prefix: '', digits: 4 }]),
  ),
  ...Object.fromEntries(['bInterfaceNumber', 'bInterfaceClass'].map((name) => [name, { prefix: '', digits: 2 }])),
  ...Object.fromEntries(['vendor', 'device'].map((name) => [name, { prefix: '0x', digits: 4 }])),
  class: { prefix: '0x', digits: 6 },
};

const isLiteral = (pattern: string): boolean => literalPart(pattern).exact;

/** A property's pattern, if nothing can have it. */
export function neverProperty(key: string, pattern: string): Never | undefined {
  for (const { names, why, instead } of ofProperties) {
    if (!names.test(key)) continue;
    const text = instead(pattern);
    if (text === undefined) continue;
    const where = /^(NAME|PHYS|UNIQ)$/.test(key)
      ? `attr: { ${key.toLowerCase()}: ${JSON.stringify(text)} }`
      : `${key}: ${JSON.stringify(text)}`;
    return { message: `${key} ${why}, so that ${JSON.stringify(pattern)} never matches`, remedy: `write ${where}` };
  }
  return undefined;
}

/** An attribute's pattern, if nothing can have it. */
export function neverAttribute(key: string, pattern: string): Never | undefined {
  const form = hexadecimal[key];
  const [, prefix, digits] = /^(0[xX])?([0-9a-fA-F]+)$/.exec(pattern) ?? [];
  if (form === undefined || digits === undefined || digits.length > form.digits) return undefined;
  const text = `${form.prefix}${digits.toLowerCase().padStart(form.digits, '0')}`;
  if (text === `${prefix ?? ''}${digits}`) return undefined;
  return {
    message: `${key} has ${form.digits} small hexadecimal digits${form.prefix === '' ? '' : ` behind ${form.prefix}`}, so that ${JSON.stringify(pattern)} never matches`,
    remedy: `write ${key}: ${JSON.stringify(text)}`,
  };
}

/** A port, if nothing can be at it. */
export function neverPort(port: string): Never | undefined {
  if (!/^[a-z]+-[A-Za-z0-9:._-]+$/.test(port)) return undefined;
  const slot = /(?:^|-)pci-[0-9a-fA-F]+:[0-9a-fA-F]{2}:[0-9a-fA-F]{2}$/.test(port);
  if (slot) {
    const text = lowered(port);
    return {
      message: `${JSON.stringify(port)} is a slot without the function, so that nothing is at it`,
      remedy: `write ${JSON.stringify(`${text}.0`)}, or a list with each function that it shall be: ["${text}.0", "${text}.1"]`,
    };
  }
  if (/^usb(v\d+)?-/.test(port)) {
    return {
      message: `${JSON.stringify(port)} names no controller, so that nothing is at it`,
      remedy: `write what hotseat devices shows, such as ${JSON.stringify(`pci-0000:00:14.0-${port}`)}`,
    };
  }
  const text = portInstead(port);
  if (text === undefined) return undefined;
  return { message: `nothing is at ${JSON.stringify(port)}`, remedy: `write ${JSON.stringify(text)}` };
}

/** How udev writes the path of a port (systemd, udev-builtin-path_id.c), undefined where it is written so. */
function portInstead(port: string): string | undefined {
  const written = lowered(port)
    // As `lspci` has it, without the domain.
    .replace(/(^|-)pci-([0-9a-f]{2}:[0-9a-f]{2}\.\d)/, '$1pci-0000:$2')
    // Every bus of a controller is 0.
    .replace(/-usb(v\d+)?-(?!0(?::|$))(?:\d+:)?(\d+(?:\.\d+)*)/, '-usb$1-0:$2')
    // The end of a link's name below /dev/input/by-path.
    .replace(/-(?:event(?:-(?:kbd|mouse|joystick|ir))?|mouse|joystick)$/, '')
    .replace(/[-.:]+$/, '');
  return written === port ? undefined : written;
}

const lowered = (port: string): string => port.replace(/(^|-)pci-[0-9a-fA-F:]+/, (address) => address.toLowerCase());

/** A pattern for the kernel's name of a head, if it can only be that of a node. */
export function neverSysname(pattern: string): Never | undefined {
  const found = /^(?:(event|mouse|js)|renderD|controlC|pcmC|hwC|midiC|umpC|comprC|hidraw)/.exec(pattern);
  if (found === null) return undefined;
  const [, input] = found;
  return {
    message: `sysname is that of a whole device, inputN or cardN, so that ${JSON.stringify(pattern)} never matches`,
    remedy: `write its name, such as sysname: ${input === undefined ? 'card1' : 'input7'}; its nodes come with it`,
  };
}

/** Match keys of udev's own rules (udev(7)) that are no properties, and what says the same here. */
const udevKeys: Readonly<Record<string, string>> = {
  KERNEL: 'sysname: NAME',
  KERNELS: 'port: PORT',
  SUBSYSTEMS: 'subsystem for input, sound or drm, or ID_BUS for a bus',
  DRIVER: 'attr: { idVendor: ID, idProduct: ID }',
  DRIVERS: 'attr: { idVendor: ID, idProduct: ID }',
  ATTR: 'attr: { KEY: VALUE }',
  ATTRS: 'attr: { KEY: VALUE }',
  ENV: "the property's own name, such as ID_BUS: usb",
  TAG: 'subsystem, kind or a property',
  SYMLINK: 'port: PORT, or a property',
  TEST: 'a property or attr',
  PROGRAM: 'a property or attr',
  RESULT: 'a property or attr',
  CONST: 'a property or attr',
  SYSCTL: 'a property or attr',
  IMPORT: 'a property or attr',
  OWNER: 'owner beside match',
  GROUP: 'group beside match',
  MODE: 'mode beside match',
};

/** A key of udev's rules where a property should be: what to write instead. */
export function udevKey(key: string, value: unknown): Never | undefined {
  const [, name = '', inner] = /^([A-Z]+)(?:\{([^{}]*)\})?$/.exec(key) ?? [];
  const known = Object.hasOwn(udevKeys, name) ? udevKeys[name] : undefined;
  if (known === undefined) return undefined;
  const message = `${JSON.stringify(key)} is a key of udev's rules and no property`;
  if (name === 'ENV' && inner !== undefined) return { message, remedy: `write ${inner}: ${shown(value)}` };
  if (/^ATTRS?$/.test(name) && inner !== undefined) {
    return { message, remedy: `write attr: { ${inner}: ${shown(value)} }` };
  }
  const [, ports] =
    name === 'KERNELS' && typeof value === 'string' ? (/^\d+-([\d.]+)(?::[\d.]+)?$/.exec(value) ?? []) : [];
  if (ports !== undefined) {
    return { message, remedy: `write port: and what hotseat devices shows: it ends in -usb-0:${ports}` };
  }
  if (name === 'KERNEL') return { message, remedy: `write sysname: ${shown(value)}` };
  return { message, remedy: `write ${known}` };
}

const isWritable = (text: string): boolean => !/["|\\\p{Cc}\p{Cf}\p{Zl}\p{Zp}]|\s$/u.test(text) && text.length <= 200;

const shown = (value: unknown): string => (typeof value === 'string' ? JSON.stringify(value) : '…');

const patternsOf = (value: unknown): readonly (readonly [pattern: string, path: readonly PropertyKey[]])[] => {
  if (typeof value === 'string') return [[value, []]];
  if (!Array.isArray(value)) return [];
  return value.flatMap((one: unknown, index) => (typeof one === 'string' ? [[one, [index]] as const] : []));
};

type Mapping = Readonly<Record<string, unknown>>;
const mapping = (value: unknown): Mapping =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Mapping) : {};

/** Everything in the matches of a seat file that can never match, each at its place. */
export function neverMatching(plain: unknown, place: Locate, _root: Node | null, _at: At): Diagnostic[] {
  const { devices } = mapping(plain);
  if (!Array.isArray(devices)) return [];
  return devices.flatMap((device: unknown, index) => {
    const path = ['devices', index, 'match'];
    const { attr, not, ...match } = mapping(mapping(device)['match']);
    return [
      ...inMatch(match, path),
      ...inMatch(mapping(not), [...path, 'not']),
      ...Object.entries(mapping(attr)).flatMap(([key, value]) =>
        each(value, [...path, 'attr', key], (text) => neverAttribute(key, text)),
      ),
    ];
  });

  function inMatch(match: Mapping, path: readonly PropertyKey[]): Diagnostic[] {
    return Object.entries(match).flatMap(([key, value]) => {
      switch (key) {
        case 'port':
          return each(value, [...path, key], neverPort);
        case 'sysname':
          return each(value, [...path, key], neverSysname);
        default:
          return each(value, [...path, key], (text) => neverProperty(key, text));
      }
    });
  }

  function each(value: unknown, path: readonly PropertyKey[], test: (text: string) => Never | undefined): Diagnostic[] {
    return patternsOf(value).flatMap(([text, more]) => {
      // What the schema refuses is said already.
      const never = isWritable(text) ? test(text) : undefined;
      return never === undefined ? [] : [{ place: place([...path, ...more]), ...never }];
    });
  }
}

/** Conditions that no one device can meet all of, such as a kind of input and `subsystem: sound`. */
export function neverTogether(conditions: readonly Condition[]): Never | undefined {
  if (subsystemsOf({ conditions, byName: false }).length > 0) return undefined;
  const keys = conditions.flatMap((one) =>
    one.on === 'subsystem' || one.on === 'kind' ? [`${one.on}: ${one.patterns.join(', ')}`] : [],
  );
  return { message: `nothing is all of ${keys.join(' and ')}`, remedy: 'keep one of them, or write two rules' };
}
