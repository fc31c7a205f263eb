import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { encodeKernel } from '../../agent/udev/kernel-uevent.js';

const keyboard = {
  ...{ DEVPATH: '/devices/usb/input/input7/event3', SUBSYSTEM: 'input', DEVNAME: '/dev/input/event3' },
  ...{ MAJOR: '13', MINOR: '67', ID_INPUT: '1', ID_SEAT: 'seat-left', USEC_INITIALIZED: '5' },
};
const lines = (message: Buffer) => message.toString().split('\0');

test('a node as the kernel says it: nothing of what the host’s udev has found out', () => {
  assert.equal(lines(encodeKernel('add', keyboard)), [
    'add@/devices/usb/input/input7/event3',
    'ACTION=add',
    'DEVPATH=/devices/usb/input/input7/event3',
    ...['SUBSYSTEM=input', 'MAJOR=13', 'MINOR=67', 'DEVNAME=input/event3'],
    '',
  ]);
});

test('news of the moment are in it, and what the kernel says of a head', () => {
  const message = lines(encodeKernel('change', { ...keyboard, HOTPLUG: '1', NAME: '"Keys"', MODALIAS: 'input:b0003' }));
  assert.equal(message.slice(-4), ['HOTPLUG=1', 'NAME="Keys"', 'MODALIAS=input:b0003', '']);
});

test('it is never longer than the kernel takes, and what names the device is always in it', () => {
  const text = fc.string({ unit: 'grapheme', maxLength: 1024 }).filter((value) => !/\p{Cc}/u.test(value));
  fc.assert(
    fc.property(text, text, text, (NAME, UNIQ, KEY) => {
      const message = encodeKernel('add', { ...keyboard, NAME, UNIQ, KEY });
      assert.ok(message.length + 16 + 'SEQNUM=18446744073709551615'.length + 1 <= 2048);
      assert.ok(message.toString().startsWith('add@/devices/usb/input/input7/event3\0ACTION=add\0'));
      assert.match(message.toString(), /\0DEVNAME=input\/event3\0/);
      assert.is(message.at(-1), 0);
    }),
  );
});

test('no text becomes a second property', () => {
  assert.throws(() => encodeKernel('add', { ...keyboard, NAME: 'x\0ID_SEAT=seat0' }), /not a property/);
  assert.throws(() => encodeKernel('add', { ...keyboard, DEVPATH: '/x\n' }), /not a property/);
});

test.run();
