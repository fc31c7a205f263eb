import fc from 'fast-check';
import type { Device, Unit } from '../../agent/core/device.js';
import { type Condition, kinds, type Policy, type Rule } from '../../agent/core/policy.js';

/** A head with a few ancestors; `card1`, `input1` by subsystem. */
export function head(given: {
  readonly subsystem?: 'input' | 'sound' | 'drm';
  readonly properties?: Readonly<Record<string, string>>;
  readonly serial?: string;
}): Device {
  const { subsystem = 'input', properties = {}, serial = 'A1' } = given;
  const sysname = subsystem === 'input' ? 'input1' : 'card1';
  const parent = { sysname: 'x', driver: undefined };
  return {
    syspath: `/sys/devices/x/${subsystem}/${sysname}`,
    subsystem,
    sysname,
    devtype: undefined,
    node: undefined,
    number: undefined,
    properties,
    tags: [],
    links: [],
    ancestors: [
      { ...parent, syspath: '/sys/devices/x/y', subsystem: 'hid', attributes: { name: 'b' } },
      { ...parent, syspath: '/sys/devices/x', subsystem: 'usb', attributes: { idVendor: '046d', serial } },
    ],
    attributes: { name: 'Keys' },
  };
}

export const unit = (device: Device): Unit => ({
  id: device.syspath,
  subsystem: device.subsystem as Unit['subsystem'],
  head: device,
  nodes: [],
});

/** A policy with a seat for each list of rules, each rule a list of conditions. */
export const policyOf = (seats: readonly (readonly (readonly Condition[])[])[], share = false): Policy => ({
  revision: 'test',
  console: 'mute',
  seats: seats.map((rules, seat) => ({
    seat: `s${seat}`,
    container: { engine: 'lxc', name: `s${seat}` },
    file: `s${seat}.yaml`,
    rules: rules.map(
      (conditions, index): Rule => ({
        label: 'x',
        place: { file: `s${seat}.yaml`, line: index + 1, column: 1 },
        conditions,
        share,
        access: {},
        hidraw: false,
        byName: false,
        whole: false,
        revoke: 'auto',
      }),
    ),
  })),
});

/** As newer udevs say it beside ID_PATH. */
const revised = ['', 'pci-1-usbv2-0:2:1.0', 'pci-1-usbv3-0:2:1.0', 'pci-1-usbv3-0:21'];
const paths = ['pci-1', 'pci-1-x', 'pci-1-usb-0:2', 'pci-1-usb-0:2:1.0', 'pci-1-usb-0:2.1:1.0', 'pci-1-usb-0:21', ''];
const values = ['', 'a', 'ab', 'b', 'é', '046d', 'A1', 'seat-left', '1'];
const globs = ['', 'a', 'a*', '*', '?*', '?', '[ab]', '[!a]*', 'b*', 'seat-*', '046d', 'A1', '*b', '1'];
const keys = ['ID_SERIAL', 'ID_MODEL', 'ID_SEAT', 'ID_PATH'];

const some = (from: readonly string[]) => fc.array(fc.constantFrom(...from), { minLength: 1, maxLength: 3 });
const negate = fc.boolean();

const condition: fc.Arbitrary<Condition> = fc.oneof(
  fc.record({
    on: fc.constant('port' as const),
    patterns: some([...paths.slice(0, 4), 'pci-1-usbv2-0:2', 'pci-1-usbv3-0:2']),
    negate,
  }),
  fc.record({
    on: fc.constant('property' as const),
    key: fc.constantFrom(...keys),
    patterns: some(globs),
    negate,
  }),
  fc.record({ on: fc.constant('subsystem' as const), patterns: some(['input', 'sound', 'drm']), negate }),
  fc.record({
    on: fc.constant('sysname' as const),
    patterns: some(['card1', 'card[12]', 'input*', 'i*', '*']),
    negate,
  }),
  fc.record({
    on: fc.constant('kind' as const),
    patterns: fc.array(fc.constantFrom(...kinds), { minLength: 1, maxLength: 2 }),
    negate,
  }),
  fc.record({
    on: fc.constant('attribute' as const),
    key: fc.constantFrom('name', 'serial', 'idVendor'),
    patterns: some(globs),
  }),
);

const rule: fc.Arbitrary<Rule> = fc.record({
  label: fc.constant('x'),
  place: fc.record({ file: fc.constant('x.yaml'), line: fc.nat(99), column: fc.constant(1) }),
  conditions: fc.array(condition, { maxLength: 3 }),
  share: fc.boolean(),
  access: fc.constant({}),
  hidraw: fc.boolean(),
  byName: fc.constant(false),
  whole: fc.boolean(),
  revoke: fc.constant('auto' as const),
});

export const anyPolicy: fc.Arbitrary<Policy> = fc
  .array(fc.array(rule, { maxLength: 3 }), { minLength: 1, maxLength: 4 })
  .map((seats) => ({
    ...policyOf(seats.map(() => [])),
    seats: seats.map((rules, index) => ({
      seat: `s-${index}`,
      container: { engine: 'lxc' as const, name: `s${index}` },
      rules,
      file: 'x.yaml',
    })),
  }));

export const anyHead: fc.Arbitrary<Device> = fc
  .record({
    subsystem: fc.constantFrom('input' as const, 'sound' as const, 'drm' as const),
    path: fc.constantFrom(...paths),
    withBus: fc.constantFrom(...revised),
    serial: fc.constantFrom(...values),
    properties: fc.dictionary(
      fc.constantFrom('ID_SERIAL', 'ID_MODEL', 'HOTSEAT_ADMIN_SEAT', 'ID_INPUT_KEYBOARD', 'ID_INPUT_MOUSE'),
      fc.constantFrom(...values.filter((value) => value !== '')),
    ),
  })
  .map(({ subsystem, path, withBus, serial, properties }) =>
    head({
      subsystem,
      serial,
      properties: {
        ...properties,
        ...(path === '' ? {} : { ID_PATH: path }),
        ...(withBus === '' ? {} : { ID_PATH_WITH_USB_REVISION: withBus }),
      },
    }),
  );
