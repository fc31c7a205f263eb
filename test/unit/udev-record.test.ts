import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { Device } from '../../agent/core/device.js';
import { allowedProperties, allowTags } from '../../agent/udev/allow.js';
import { encode } from '../../agent/udev/datagram.js';
import { presentation } from '../../agent/udev/record.js';

const keyboard: Device = {
  syspath: '/sys/devices/pci0/usb1/1-2/input/input12/event5',
  subsystem: 'input',
  sysname: 'event5',
  devtype: undefined,
  node: '/dev/input/event5',
  number: { major: 13, minor: 69 },
  properties: {
    USEC_INITIALIZED: '1514605000',
    ID_INPUT: '1',
    ID_INPUT_KEYBOARD: '1',
    ID_SERIAL: 'Keyboard',
    ID_SEAT: 'seat-left',
    HOTSEAT_ADMIN_SEAT: 'seat-left',
    XKBLAYOUT: 'de',
    TAGS: ':power-switch:',
    SYSTEMD_WANTS: 'x.service',
  },
  tags: ['power-switch', 'uaccess', 'seat', 'seat-left'],
  links: ['/dev/input/by-id/usb-Keyboard'],
  ancestors: [],
  attributes: {},
};

test('a keyboard as a container sees it', () => {
  const { record, properties } = presentation(keyboard);
  assert.is(record.id, 'c13:69');
  assert.is(
    record.text,
    'I:1514605000\nE:ID_INPUT=1\nE:ID_INPUT_KEYBOARD=1\nE:ID_SERIAL=Keyboard\nG:seat\nQ:seat\nV:1\n',
  );
  assert.equal(properties, {
    USEC_INITIALIZED: '1514605000',
    ID_INPUT: '1',
    ID_INPUT_KEYBOARD: '1',
    ID_SERIAL: 'Keyboard',
    DEVPATH: '/devices/pci0/usb1/1-2/input/input12/event5',
    SUBSYSTEM: 'input',
    DEVNAME: '/dev/input/event5',
    MAJOR: '13',
    MINOR: '69',
  });
});

test('a card makes a seat graphical in its container, whatever the host takes from it', () => {
  const card = { subsystem: 'drm', node: '/dev/dri/card1', number: { major: 226, minor: 1 }, properties: {} } as const;
  const tagsOf = (sysname: string, ...tags: string[]) =>
    presentation({ ...keyboard, ...card, sysname, tags }).record.tags;
  assert.equal(tagsOf('card1', 'seat', 'seat-left'), ['master-of-seat', 'seat']);
  assert.equal(tagsOf('card1', 'seat', 'seat-left', 'master-of-seat'), ['master-of-seat', 'seat']);
  assert.equal(tagsOf('renderD129', 'seat', 'seat-left'), ['seat']);
  assert.equal(tagsOf('card1'), [], 'an admin’s rule has taken it out of all seats');
});

test('a head has a record of its own name and no node', () => {
  const head: Device = {
    ...keyboard,
    syspath: '/sys/devices/x/input/input12',
    sysname: 'input12',
    node: undefined,
    number: undefined,
  };
  const { record, properties } = presentation(head);
  assert.is(record.id, '+input:input12');
  assert.is(properties['DEVNAME'], undefined);
});

const plumbing = [
  'ID_SEAT',
  'ID_FOR_SEAT',
  'ID_AUTOSEAT',
  'TAGS',
  'CURRENT_TAGS',
  'XKBLAYOUT',
  'XKBMODEL',
  'SYSTEMD_WANTS',
  'SYSTEMD_ALIAS',
  'HOTSEAT_ADMIN_SEAT',
  'HOTSEAT_SEAT',
  'DEVLINKS',
  'ACTION',
  'UDEV_DATABASE_VERSION',
  'ID_INPUTX\n',
  'SOUND_\x1b[2J',
  'ID_MODEL_\nG:',
  'PULSE_A=B',
  'xID_BUS',
  '__proto__',
];
const anyText = fc.string({ unit: 'binary', maxLength: 80 });
const keys = fc.oneof(
  fc.constantFrom(...plumbing, 'ID_MODEL', 'ID_INPUT', 'SOUND_FORM_FACTOR', 'NAME', 'UNIQ'),
  anyText,
);

test('nothing of the host and nothing hostile passes', () => {
  fc.assert(
    fc.property(
      fc.dictionary(keys, anyText),
      fc.array(fc.oneof(anyText, fc.constantFrom(...keyboard.tags, 'master-of-seat'))),
      (properties, tags) => {
        const passed = allowedProperties(properties);
        for (const name of plumbing) assert.not.ok(Object.hasOwn(passed, name), name);
        for (const [name, value] of Object.entries(passed)) {
          assert.match(name, /^[A-Za-z0-9_.]+$/);
          assert.not.match(value, /[\p{Cc}\p{Cs}\p{NChar}]/u);
          assert.is(value, properties[name]);
        }
        for (const name of allowTags(tags)) assert.ok(name === 'seat' || name === 'master-of-seat', name);
      },
    ),
    { numRuns: 1000 },
  );
});

test('what the hardware database says of the device passes, and what is no UTF-8 to systemd does not', () => {
  const said = {
    ...{ XKB_FIXED_LAYOUT: 'us', ACCEL_MOUNT_MATRIX: '0, 1, 0; 1, 0, 0; 0, 0, 1', WL_OUTPUT: 'HDMI-A-1', WL_SEAT: 'b' },
    ...{ ID_VENDOR: '©Microsoft', XKBLAYOUT: 'de' },
  };
  const { XKBLAYOUT: _, ...passing } = said;
  assert.equal(allowedProperties(said), passing);
  for (const bad of ['\ufffe', '\uffff', '\ufdd0', '\u{1fffe}', '\u{10ffff}', '\ud800'])
    assert.equal(allowedProperties({ ID_MODEL: `a${bad}b`, ID_VENDOR: 'x' }), { ID_VENDOR: 'x' });
});

test('records are well-formed and announcements can be sent, whatever a device calls itself', () => {
  fc.assert(
    fc.property(fc.dictionary(keys, anyText), (properties) => {
      const { record, properties: announced } = presentation({ ...keyboard, properties });
      assert.ok(record.text.endsWith('V:1\n'));
      for (const line of record.text.slice(0, -1).split('\n'))
        assert.match(line, /^(I:.*|E:[A-Za-z0-9_.]+=.*|G:seat|Q:seat|V:1)$/su);
      encode('add', { ...announced, SEQNUM: '1' }, record.tags);
    }),
    { numRuns: 1000 },
  );
});

test('a device with too much to say is cut down to what can be sent, and stays what it is', () => {
  const talk = Object.fromEntries(Array.from({ length: 40 }, (_, index) => [`ID_MODEL_${index}`, '€'.repeat(1000)]));
  const { record, properties } = presentation({ ...keyboard, properties: { ...keyboard.properties, ...talk } });
  assert.ok(encode('add', { ...properties, SEQNUM: String(Number.MAX_SAFE_INTEGER) }, record.tags).length < 8192);
  for (const name of ['DEVPATH', 'DEVNAME', 'SUBSYSTEM', 'MAJOR', 'MINOR', 'ID_INPUT', 'ID_INPUT_KEYBOARD'])
    assert.ok(properties[name], name);
});

test.run();
