import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { guardedMajors } from '../../agent/kernel/majors.js';

test('what the kernel chose for hidraw and usbmon is guarded as well, and nothing of a like name', () => {
  const devices = `Character devices:
 13 input
189 usb_device
244 usbmon
245 hidraw
246 usbmonitor

Block devices:
254 virtblk
`;
  assert.equal(guardedMajors(devices), [...guardedMajors(''), 244, 245]);
});

test.run();
