import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { decode, encode } from '../../agent/udev/datagram.js';
import { bloom64, murmur2 } from '../../agent/udev/murmur.js';

// Computed twice, with libudev's own C and with Python: field-notes/consumer-protocol.md 2.1.
const hashes: readonly (readonly [string, number])[] = [
  ['input', 0xc1a28470],
  ['sound', 0xd196ab6e],
  ['drm', 0x16664179],
  ['tty', 0x8afa90c8],
  ['drm_minor', 0x1ca6541e],
  ['hidraw', 0xc2caf397],
  ['usb', 0x0577c5e5],
  ['usb_device', 0x27f8f50c],
  ['seat', 0x435b3e40],
  ['uaccess', 0xe88ed0cc],
  ['master-of-seat', 0xd5d23c68],
  ['power-switch', 0x43b5e13f],
];
const blooms: readonly (readonly [string, bigint])[] = [
  ['seat', 0x0208000000400001n],
  ['uaccess', 0x0000200800001008n],
  ['master-of-seat', 0x0012010800000000n],
  ['power-switch', 0x8000200040000010n],
];

test("hashes are libudev's", () => {
  for (const [text, hash] of hashes) assert.is(murmur2(text).toString(16), hash.toString(16), text);
  for (const [tag, bloom] of blooms) assert.is(bloom64(tag).toString(16), bloom.toString(16), tag);
});

test('the message that Xorg took byte for byte', () => {
  const datagram = encode(
    'add',
    {
      DEVPATH: '/devices/pci0000:00/0000:00:14.0/usb1/1-2/1-2:1.0/0003:046D:C31C.0004/input/input12/event5',
      SUBSYSTEM: 'input',
      DEVNAME: '/dev/input/event5',
      SEQNUM: '1042',
      USEC_INITIALIZED: '1514605000',
      ID_INPUT: '1',
      ID_INPUT_KEY: '1',
      ID_INPUT_KEYBOARD: '1',
      ID_BUS: 'usb',
      ID_VENDOR: 'Logitech',
      ID_VENDOR_ID: '046d',
      ID_MODEL_ID: 'c31c',
      ID_SERIAL: 'Logitech_USB_Keyboard',
      ID_PATH: 'pci-0000:00:14.0-usb-0:2:1.0',
      ID_SEAT: 'seat-desk1',
      LIBINPUT_DEVICE_GROUP: '3/46d/c31c:usb-0000:00:14.0-2',
      XKBLAYOUT: 'us',
      MAJOR: '13',
      MINOR: '69',
    },
    ['power-switch', 'seat', 'seat-desk1'],
  );
  const header = '6c69627564657600feedcafe280000002800000042020000c1a2847000000000e3082000c0400011';
  assert.is(datagram.toString('hex', 0, 40), header);
  assert.is(datagram.length, 618);
  assert.is(decode(datagram).properties['CURRENT_TAGS'], ':power-switch:seat:seat-desk1:');
});

const key = fc
  .stringMatching(/^[A-Z][A-Z0-9_]{0,20}$/)
  .filter((name) => !/^(ACTION|(CURRENT_)?TAGS|UDEV_DATABASE_VERSION|DEVTYPE)$/.test(name));
const printable = fc
  .string({ unit: 'grapheme', maxLength: 60 })
  .filter((text) => !/\p{Cc}/u.test(text) && Buffer.from(text).toString() === text);
const tag = fc.stringMatching(/^[a-z][a-z-]{0,15}$/);

test('what is encoded is what is heard', () => {
  fc.assert(
    fc.property(
      fc.dictionary(key, printable, { maxKeys: 30 }),
      fc.uniqueArray(tag, { maxLength: 5 }),
      (properties, tags) => {
        const sent = { ...properties, SUBSYSTEM: 'drm', DEVTYPE: 'drm_minor' };
        const heard = decode(encode('change', sent, tags));
        const { ACTION, UDEV_DATABASE_VERSION: _version, TAGS, CURRENT_TAGS, ...rest } = heard.properties;
        assert.equal(rest, { ...sent });
        assert.is(ACTION, 'change');
        assert.is(TAGS, tags.length === 0 ? undefined : `:${tags.join(':')}:`);
        assert.is(CURRENT_TAGS, TAGS);
        assert.is(heard.subsystemHash, murmur2('drm'));
        assert.is(heard.devtypeHash, murmur2('drm_minor'));
        for (const name of tags) assert.is(heard.bloom & bloom64(name), bloom64(name));
      },
    ),
  );
});

test('no text can become two, and nothing is sent that older listeners cut off', () => {
  const base = { SUBSYSTEM: 'input' };
  fc.assert(
    fc.property(printable, fc.constantFrom('\0', '\n', '\r', '\x1b', '\x7f', '\x9b'), printable, (a, bad, b) => {
      assert.throws(() => encode('add', { ...base, NAME: a + bad + b }, []), /not a udev property/);
      assert.throws(() => encode('add', { ...base, [`A${bad}`]: b }, []), /not a udev property/);
      assert.throws(() => encode('add', base, [`seat${bad}`]), /not a udev property/);
    }),
  );
  assert.throws(() => encode('add', { ...base, '': 'x' }, []), /not a udev property/);
  assert.throws(() => encode('add', { ...base, 'A=B': 'x' }, []), /not a udev property/);
  assert.throws(() => encode('add', { ...base, NAME: 'x'.repeat(8192) }, []), /reaches nobody/);
});

test('decode refuses what libudev refuses', () => {
  const good = encode('add', { SUBSYSTEM: 'input' }, []);
  assert.throws(() => decode(Buffer.concat([Buffer.from('x'), good])), /not a message/);
  const trailing = Buffer.concat([good, Buffer.from('\0')]);
  trailing.writeUInt32LE(trailing.length - 40, 20);
  assert.throws(() => decode(trailing), /not a udev property/);
});

test.run();
