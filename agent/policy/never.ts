import type { Node } from 'yaml';
import { glob, literalPart } from '../core/glob.js';
import type { Diagnostic } from '../core/policy.js';
import type { At, Locate } from './explain.js';
import { nearest } from './nearest.js';
import { neverConnector, neverPath, neverPort, neverSysname } from './never-port.js';

/** The fault of a text that no device can have, and the text to write instead. */
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
    // A device's own words are cleaned before they become a property (systemd, udev_replace_whitespace).
    names: /^ID_(USB_)?(VENDOR|MODEL|SERIAL|SERIAL_SHORT|REVISION|BUS|TYPE|PATH|PATH_TAG|VENDOR_ID|MODEL_ID)$/,
    why: 'has no space in it: udev writes _',
    instead: (pattern) => (pattern.includes(' ') ? pattern.replaceAll(' ', '_') : undefined),
  },
  {
    // The same, encoded (systemd, encode_devnode_name): a backslash cannot be written.
    names: /^ID_(USB_)?(VENDOR|MODEL)_ENC$/,
    why: 'has \\x20 for a space',
    instead: (pattern) => (pattern.includes(' ') ? pattern.replaceAll(' ', '?x20') : undefined),
  },
  {
    // systemd, path_id.
    names: /^ID_PATH_TAG$/,
    why: 'has letters, digits and _ only',
    instead: (pattern) => (isLiteral(pattern) && /[^A-Za-z0-9_-]/.test(pattern) ? tagOf(pattern) : undefined),
  },
  {
    names: /^(ID_BUS|ID_(USB_)?TYPE)$/,
    why: 'is in small letters',
    instead: (pattern) => (isLiteral(pattern) && /[A-Z]/.test(pattern) ? pattern.toLowerCase() : undefined),
  },
  {
    names: /^ID_(USB_)?(VENDOR|MODEL)_ID$/,
    why: 'has four small hexadecimal digits',
    instead: (pattern) => {
      const [, prefix = '', digits] = /^(0[xX])?([0-9a-fA-F]{1,4})$/.exec(pattern) ?? [];
      const text = `${prefix}${digits?.padStart(4, '0')}`.toLowerCase();
      return digits === undefined || text === pattern ? undefined : text;
    },
  },
  {
    names: /^ID_USB_INTERFACE_NUM$/,
    why: 'has two small hexadecimal digits',
    instead: (pattern) => (/^[0-9a-fA-F]$/.test(pattern) ? `0${pattern.toLowerCase()}` : undefined),
  },
];

/**
 * Properties that udev and its hardware database give inputs (udev-builtin-input_id.c, hwdb.d). Admins may have words
 * of their own.
 */
const saidOfInputs: readonly string[] = [
  ...[
    'KEY',
    'KEYBOARD',
    'MOUSE',
    'TOUCHPAD',
    'TOUCHSCREEN',
    'TABLET',
    'TABLET_PAD',
    'JOYSTICK',
    'ACCELEROMETER',
    'SWITCH',
  ],
  ...[
    'POINTINGSTICK',
    'TRACKBALL',
    '3D_MOUSE',
    'WIDTH_MM',
    'HEIGHT_MM',
    'TOUCHPAD_INTEGRATION',
    'JOYSTICK_INTEGRATION',
  ],
].map((name) => `ID_INPUT_${name}`);

/** Attributes that are hexadecimal: the text before the digits, and the number of digits. */
const hexadecimal: Readonly<Record<string, { readonly prefix: string; readonly digits: number }>> = {
  ...Object.fromEntries(
    ['idVendor', 'idProduct', 'id/vendor', 'id/product', 'id/bustype'].map((name) => [name, { prefix: '', digits: 4 }]),
  ),
  ...Object.fromEntries(['bInterfaceNumber', 'bInterfaceClass'].map((name) => [name, { prefix: '', digits: 2 }])),
  ...Object.fromEntries(['vendor', 'device'].map((name) => [name, { prefix: '0x', digits: 4 }])),
  class: { prefix: '0x', digits: 6 },
};

const isLiteral = (pattern: string): boolean => literalPart(pattern).exact;

const tagOf = (path: string): string => path.replace(/[^A-Za-z0-9-]+/g, '_');

/** A property's pattern, if nothing can have it. `negated`: it is below `not`, where no attribute can be. */
export function neverProperty(key: string, pattern: string, negated = false): Never | undefined {
  if (/^ID_INPUT_/.test(key) && !saidOfInputs.includes(key)) {
    const near = nearest(key, saidOfInputs);
    if (near !== undefined) return { message: `udev says no ${key} of any input`, remedy: `write ${near}` };
  }
  if (key === 'ID_PATH') return isLiteral(pattern) && pattern !== '' ? neverPath(pattern) : undefined;
  for (const { names, why, instead } of ofProperties) {
    if (!names.test(key)) continue;
    const text = instead(pattern);
    if (text === undefined) continue;
    const isQuoted = /^(NAME|PHYS|UNIQ)$/.test(key);
    const where =
      isQuoted && !negated
        ? `attr: { ${key.toLowerCase()}: ${JSON.stringify(text)} }`
        : `${key}: ${JSON.stringify(isQuoted ? `?${text}?` : text)}`;
    return { message: `${key} ${why}, so that ${JSON.stringify(pattern)} never matches`, remedy: `write ${where}` };
  }
  return undefined;
}

/** An attribute's pattern, if nothing can have it. */
export function neverAttribute(key: string, pattern: string): Never | undefined {
  const form = hexadecimal[key];
  if (form === undefined || !isLiteral(pattern)) return undefined;
  const [, prefix, digits] = /^(0[xX])?([0-9a-fA-F]+)$/.exec(pattern) ?? [];
  const message = `${key} has ${form.digits} small hexadecimal digits${form.prefix === '' ? '' : ` behind ${form.prefix}`}, so that ${JSON.stringify(pattern)} never matches`;
  if (digits === undefined || digits.length > form.digits) {
    return { message, remedy: `write the number, such as ${key}: "${form.prefix}${'12ab56'.slice(0, form.digits)}"` };
  }
  const text = `${form.prefix}${digits.toLowerCase().padStart(form.digits, '0')}`;
  if (text === `${prefix ?? ''}${digits}`) return undefined;
  return { message, remedy: `write ${key}: ${JSON.stringify(text)}` };
}

const isWritable = (text: string): boolean => !/["|\\\p{Cc}\p{Cf}\p{Zl}\p{Zp}]|\s$/u.test(text) && text.length <= 200;

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
      ...inMatch(match, path, false),
      ...inMatch(mapping(not), [...path, 'not'], true),
      ...Object.entries(mapping(attr)).flatMap(([key, value]) =>
        each(value, [...path, 'attr', key], (text) => neverAttribute(key, text)),
      ),
    ];
  });

  function inMatch(match: Mapping, path: readonly PropertyKey[], negated: boolean): Diagnostic[] {
    return Object.entries(match).flatMap(([key, value]) => {
      switch (key) {
        case 'port':
          return each(value, [...path, key], neverPort);
        case 'connector':
          return each(value, [...path, key], neverConnector);
        case 'sysname':
          return each(value, [...path, key], neverSysname);
        default:
          return each(value, [...path, key], (text) => neverProperty(key, text, negated));
      }
    });
  }

  function each(value: unknown, path: readonly PropertyKey[], test: (text: string) => Never | undefined): Diagnostic[] {
    return patternsOf(value).flatMap(([text, more]) => {
      // The schema has reported its own refusals already.
      const never = isWritable(text) ? test(text) : undefined;
      return never === undefined ? [] : [{ place: place([...path, ...more]), ...never }];
    });
  }
}
