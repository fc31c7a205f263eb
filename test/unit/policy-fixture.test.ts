import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { recordOf } from '../../agent/control/inspect.js';
import { parseRequest } from '../../agent/control/messages.js';
import type { Device, Unit } from '../../agent/core/device.js';
import { formatDiagnostic } from '../../agent/policy/diagnostics.js';
import { type Fixture, fixtureOf, formatFixture, parseFixture } from '../../agent/policy/fixture.js';
import { formatText } from '../../agent/policy/format.js';
import { machineKey, maskFixture, textMasker } from '../../agent/policy/mask.js';

const usb = '/sys/devices/pci0000:00/0000:00:14.0/usb1/1-2';
const base = `${usb}/1-2:1.0/0003:046D:C31C.0001/input/input7`;

const device = (given: Partial<Device> & Pick<Device, 'syspath' | 'sysname'>): Device => ({
  subsystem: 'input',
  devtype: undefined,
  node: undefined,
  number: undefined,
  properties: {},
  tags: [],
  links: [],
  ancestors: [],
  attributes: {},
  ...given,
});

/** A keyboard behind a Bluetooth-like receiver, with everything in it that is private. */
const keyboard = (): Unit => {
  const head = device({
    syspath: base,
    sysname: 'input7',
    properties: {
      NAME: '"Maker KeysSN-99417"',
      PHYS: '"DC:41:a9:00:11:22"',
      UNIQ: '"SN-99417"',
      ID_VENDOR: 'Maker',
      ID_MODEL: 'Keys',
      ID_SERIAL: 'Maker_Keys_SN-99417',
      ID_SERIAL_SHORT: 'SN-99417',
      ID_ID: 'usb-Maker_Keys_SN-99417-00',
      ID_PATH: 'pci-0000:00:14.0-usb-0:2:1.0',
      ID_INPUT_KEYBOARD: '1',
    },
    attributes: { name: 'Maker Keys', uniq: 'SN-99417', phys: 'dc:41:a9:00:11:22' },
    ancestors: [
      {
        syspath: usb,
        sysname: '1-2',
        subsystem: 'usb',
        driver: 'usb',
        attributes: { serial: 'SN-99417', idVendor: '046d' },
      },
      {
        syspath: '/sys/devices/pci0000:00/0000:00:14.0/usb1',
        sysname: 'usb1',
        subsystem: 'usb',
        driver: 'usb',
        attributes: { serial: '0000:00:14.0' },
      },
    ],
  });
  const event = device({
    syspath: `${base}/event3`,
    sysname: 'event3',
    node: '/dev/input/event3',
    number: { major: 13, minor: 67 },
    properties: { ID_SERIAL: 'Maker_Keys_SN-99417', DEVNAME: '/dev/input/event3' },
    tags: ['power-switch'],
    links: [
      '/dev/input/by-id/usb-Maker_Keys_SN-99417-event-kbd',
      '/dev/input/by-path/pci-0000:00:14.0-usb-0:2:1.0-event-kbd',
    ],
    ancestors: [
      { syspath: base, sysname: 'input7', subsystem: 'input', driver: undefined, attributes: head.attributes },
      ...head.ancestors,
    ],
  });
  return { id: base, subsystem: 'input', head, nodes: [event] };
};

const parsed = (text: string): Unit => {
  const found = parseFixture('x.yaml', text);
  if ('diagnostics' in found) throw new Error(found.diagnostics.map(formatDiagnostic).join('\n'));
  return found.unit;
};

test('a unit that is written and read again is the same unit', () => {
  const unit = keyboard();
  assert.equal(parsed(formatFixture(fixtureOf(unit))), unit);
  assert.equal(parsed(JSON.stringify(fixtureOf(unit))), unit, 'JSON is YAML as well');
});

test('whatever a device says of itself comes back as it was, and nothing of it reaches a terminal', () => {
  const hostile = fc.oneof(
    fc.string({ unit: 'grapheme', maxLength: 30 }),
    fc
      .array(
        fc.constantFrom(
          '\u001b[2J',
          '\n',
          '\u0085',
          '\u202e',
          '\u{e0041}',
          '\ufeff',
          ': ',
          ' #',
          '- ',
          '"',
          "'",
          '\\',
          '{',
          'é',
          '0012',
          'true',
          '~',
          '',
        ),
      )
      .map((parts) => parts.join('')),
  );
  const key = fc.oneof(hostile, fc.constantFrom('ID_MODEL', 'NAME', '<<', 'y'));
  fc.assert(
    fc.property(fc.dictionary(key, hostile, { noNullPrototype: true }), hostile, (properties, tag) => {
      // __proto__ is no name that udev could give, and JavaScript's own treatment of it in a record does not matter.
      if (Object.hasOwn(properties, '__proto__')) return;
      const unit = keyboard();
      const given = { ...unit, head: { ...unit.head, properties, tags: [tag] } };
      const text = formatFixture(fixtureOf(given));
      assert.not.match(text, /[^\P{Cc}\n]|[\p{Cf}\p{Zl}\p{Zp}]/u);
      const { head } = parsed(text);
      assert.equal(head.properties, properties);
      assert.equal(head.tags, [tag]);
      assert.equal(formatText('x.yaml', text), { text }, 'it has the form that hotseat fmt gives');
    }),
    { numRuns: 1000 },
  );
});

test('private strings are masked, equal ones stay equal, and what policies match by stays', () => {
  const plain = fixtureOf(keyboard());
  const masked = maskFixture(plain, 'key');
  const text = formatFixture(masked);
  assert.not.match(text, /99417|dc:41:a9/i);
  const [head, event] = masked.devices;
  const short = head?.properties?.['ID_SERIAL_SHORT'] ?? '';
  assert.match(short, /^masked-[0-9a-f]{8}$/);
  assert.is(head?.properties?.['ID_SERIAL'], `Maker_Keys_${short}`);
  assert.is(head?.properties?.['UNIQ'], `"${short}"`);
  assert.is(head?.properties?.['NAME'], `"Maker Keys${short}"`);
  assert.is(head?.attributes?.['uniq'], short);
  assert.is(masked.ancestors?.[0]?.attributes?.['serial'], short);
  assert.is(event?.links?.[0], `/dev/input/by-id/usb-Maker_Keys_${short}-event-kbd`);
  assert.is(head?.properties?.['PHYS'], `"${head?.attributes?.['phys']}"`, 'an address is one in capitals, too');
  // A host controller has its PCI address for a serial, and ports are matched by it.
  assert.is(masked.ancestors?.[1]?.attributes?.['serial'], '0000:00:14.0');
  assert.is(head?.properties?.['ID_PATH'], 'pci-0000:00:14.0-usb-0:2:1.0');
  assert.is(event?.links?.[1], '/dev/input/by-path/pci-0000:00:14.0-usb-0:2:1.0-event-kbd');
  assert.equal(maskFixture(masked, 'key'), masked, 'masked once is masked');
  assert.is.not(formatFixture(maskFixture(plain, 'another')), text, 'another PC masks them otherwise');
});

test('a serial number that is part of everything masks nothing else', () => {
  const unit = keyboard();
  const properties = { ...unit.head.properties, ID_SERIAL: 'Maker_Keys_0000', ID_SERIAL_SHORT: '0000', UNIQ: '"0000"' };
  const masked = maskFixture(fixtureOf({ ...unit, head: { ...unit.head, properties } }), 'key').devices[0]?.properties;
  assert.match(masked?.['ID_SERIAL'] ?? '', /^Maker_Keys_masked-/);
  assert.is(masked?.['ID_PATH'], 'pci-0000:00:14.0-usb-0:2:1.0');
  const { ID_SERIAL_SHORT: _, ...rest } = unit.head.properties;
  const none = { ...rest, ID_SERIAL: 'Maker_Keys', UNIQ: '""' };
  const kept = maskFixture(fixtureOf({ ...unit, head: { ...unit.head, properties: none } }), 'key').devices[0]
    ?.properties;
  assert.is(kept?.['ID_SERIAL'], 'Maker_Keys', 'maker and model are nobody’s secret');
  assert.is(kept?.['UNIQ'], '""');
});

test('a log is masked as its devices are, and what is like a number in it stays', () => {
  const plain = fixtureOf(keyboard());
  const alias = maskFixture(plain, 'a key').devices[0]?.properties?.['ID_SERIAL_SHORT'] ?? '';
  assert.match(alias, /^masked-/);
  const masked = textMasker([plain], 'a key');
  assert.is(masked('bound usb-Maker_Keys_SN-99417-00, SN-99417.'), `bound usb-Maker_Keys_${alias}-00, ${alias}.`);
  assert.not.match(masked('from dc:41:a9:00:11:22'), /dc:41/);
  const same = 'pci-0000:00:14.0 at 2026-01-02T03:04:05 (046d:c31c), revision 6fb8d1cda8f9';
  assert.is(masked(same), same);
  const number = { ...plain, devices: [{ ...plain.devices[0], properties: { ID_SERIAL_SHORT: '046d' } }] } as Fixture;
  assert.is(textMasker([number], 'a key')(same), same);
  assert.is(textMasker([], 'a key')('SN-99417'), 'SN-99417');
});

test('the agent answers with a masked fixture unless it is told not to', () => {
  assert.equal(parseRequest('{"verb":"record","device":"input7"}'), {
    verb: 'record',
    device: 'input7',
    unmask: false,
  });
  assert.is(parseRequest('{"verb":"record"}'), '"record" needs a "device"');
  const plain: Fixture = fixtureOf(keyboard());
  assert.equal(recordOf([keyboard()], '/dev/input/event3', true), plain);
  assert.equal(recordOf([keyboard()], 'input7', false), maskFixture(plain, machineKey()));
  assert.throws(() => recordOf([], 'input7', false), /no device "input7"/);
});

test('what is no recorded device is refused, each fault at its place', () => {
  const faults = (text: string): string[] => {
    const found = parseFixture('x.yaml', text);
    return 'diagnostics' in found ? found.diagnostics.map(formatDiagnostic) : [];
  };
  const fixture = fixtureOf(keyboard());
  const [head, event] = fixture.devices;
  const text = (devices: readonly unknown[], more = {}) =>
    JSON.stringify({ ...fixture, devices, ...more }, undefined, 1);
  assert.match(faults(text([event]))[0] ?? '', /^x\.yaml:\d+:\d+: the head of the unit is missing: add /);
  assert.match(faults(text([head, { ...event, number: undefined }]))[0] ?? '', /a node without a number: add "number"/);
  assert.match(faults(text([head, { ...event, sysname: 'event4' }]))[0] ?? '', /not the last part of the path/);
  assert.match(faults(text([head, { ...event, syspath: `${usb}/input/input8/event3` }]))[0] ?? '', /not of one unit/);
  assert.match(
    faults(text([{ ...head, syspath: '/sys/devices/virtual/input/mice' }]))[0] ?? '',
    /no such device can be/,
  );
  assert.match(faults(text([{ ...head, syspath: '/sys/devices/../input/input7' }]))[0] ?? '', /no path of a device/);
  assert.match(faults(text([head], { ancestors: [{ syspath: '/sys/devices/x' }] }))[0] ?? '', /does not hang on this/);
  assert.match(
    faults(text([{ ...head, propertys: {} }]))[0] ?? '',
    /unknown key "propertys": did you mean "properties"\?/,
  );
  assert.match(faults(text([head], { format: '2' }))[0] ?? '', /"format" is not one of its values: use 1/);
});

test.run();
