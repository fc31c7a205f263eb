// A foot pedal for typists. udev calls it an input and nothing more: no kind fits, subsystem and vendor do.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { pedal } from './driver/capabilities.js';
import { field, plug } from './driver/field.js';

const pc = field(import.meta.url);
pc.usb('1', { ids: '05f3:00ff', product: 'VEC USB Footpedal' }).hid(0, [{ name: 'VEC Footpedal', can: pedal }]);

test('a pedal is had by subsystem and vendor, and by no kind', () => {
  const seen = plug(pc, {
    left: '  - { label: kinds, match: { kind: [keyboard, mouse, joystick, switch], ID_VENDOR_ID: 05f3 } }',
    right: '  - { label: pedal, match: { subsystem: input, ID_VENDOR_ID: "05f3" } }',
  });
  assert.is(seen.owner('input0'), 'right');
});

test.run();
