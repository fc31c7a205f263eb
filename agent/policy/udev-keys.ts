import type { Never } from './never.js';
import { neverSysname } from './never-port.js';

/** Match keys of udev's own rules (udev(7); `BUS` and `SYSFS` are of before 2010) that are no properties, and the condition that says the same here. */
const udevKeys: Readonly<Record<string, string>> = {
  KERNEL: 'sysname: NAME',
  KERNELS: 'port: PORT',
  SUBSYSTEMS: 'subsystem for input, sound or drm, or ID_BUS for a bus',
  DRIVER: 'attr: { idVendor: ID, idProduct: ID }',
  DRIVERS: 'attr: { idVendor: ID, idProduct: ID }',
  ATTR: 'attr: { KEY: VALUE }',
  ATTRS: 'attr: { KEY: VALUE }',
  SYSFS: 'attr: { KEY: VALUE }',
  BUS: 'ID_BUS: BUS',
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

/** Keys that say what udev does, and match nothing. */
const doing: ReadonlySet<string> = new Set(['RUN', 'OPTIONS', 'LABEL', 'GOTO', 'SECLABEL', 'WAIT_FOR']);

/** Properties that say of a USB device what these attributes say (systemd, udev-builtin-usb_id.c). */
export const asProperty: Readonly<Record<string, string>> = {
  idVendor: 'ID_VENDOR_ID',
  idProduct: 'ID_MODEL_ID',
  serial: 'ID_SERIAL_SHORT',
  manufacturer: 'ID_VENDOR',
  product: 'ID_MODEL',
};

/** A key of udev's rules where a property should be: what to write instead. `negated`: below `not`, where no attribute can be. */
export function udevKey(key: string, value: unknown, negated = false): Never | undefined {
  // With the operator, as it stands in a rule, too.
  const [, name = '', inner] = /^([A-Z_]+)(?:\{([^{}]*)\})?(?:[=!+:-]=?)?$/.exec(key) ?? [];
  const message = `${JSON.stringify(key)} is a key of udev's rules and no property`;
  if (doing.has(name)) return { message, remedy: 'remove it: it says what udev does, and matches nothing' };
  const known = Object.hasOwn(udevKeys, name) ? udevKeys[name] : undefined;
  if (known === undefined) return undefined;
  if (name === 'ENV' && inner !== undefined) return { message, remedy: `write ${inner}: ${shown(value)}` };
  if (negated && /^((ATTR|DRIVER)S?|SYSFS)$/.test(name)) {
    const property = asProperty[inner ?? ''];
    const instead = property === undefined ? 'a property, such as ID_VENDOR_ID' : `${property}: ${shown(value)}`;
    return { message, remedy: `attributes cannot be negated: write ${instead}` };
  }
  if (/^(ATTRS?|SYSFS)$/.test(name) && inner !== undefined) {
    return { message, remedy: `write attr: { ${inner}: ${shown(value)} }` };
  }
  const pairs = typeof value === 'object' && value !== null ? Object.entries(value) : [];
  if (pairs.length > 0 && /^(ATTRS?|SYSFS|ENV)$/.test(name)) {
    const text = pairs.map(([one, wanted]: [string, unknown]) => `${one}: ${shown(wanted)}`).join(', ');
    return { message, remedy: `write ${name === 'ENV' ? text : `attr: { ${text} }`}` };
  }
  if (name === 'BUS') return { message, remedy: `write ID_BUS: ${shown(value)}` };
  const [, ports] =
    name === 'KERNELS' && typeof value === 'string' ? (/^\d+-([\d.]+)(?::[\d.]+)?$/.exec(value) ?? []) : [];
  if (ports !== undefined) {
    return { message, remedy: `write port: and what hotseat devices shows: it ends in -usb-0:${ports}` };
  }
  if (name === 'KERNEL') {
    const never = typeof value === 'string' ? neverSysname(value) : undefined;
    return { message, remedy: never?.remedy ?? `write sysname: ${shown(value)}` };
  }
  return { message, remedy: `write ${known}` };
}

const shown = (value: unknown): string => (typeof value === 'string' ? JSON.stringify(value) : '…');
