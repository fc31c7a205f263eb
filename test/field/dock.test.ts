// USB docks of a seat. One with a graphics adapter (driver udl), a sound card and a keyboard, and one rule by the port of the hub;
// two whose screens DisplayLink's own driver makes (evdi 1.9 below the USB device, later ones below nothing).
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { keyboard } from './driver/capabilities.js';
import { field, plug, usbPort } from './driver/field.js';

const pc = field(import.meta.url);
pc.usb('4.2', { ids: '17e9:0351', maker: 'DisplayLink', product: 'USB display adapter' }).gpu(0, 'card4');
pc.usb('4.3', { ids: '0d8c:0014', maker: 'C-Media', product: 'USB Audio Device' }).card(0, 'Device', ['pcmC#D0p']);
pc.usb('4.4', { ids: '1c4f:0002', product: 'USB Keyboard' }).hid(0, [
  { name: 'SIGMACHIP USB Keyboard', can: keyboard },
]);
const dock = { ids: '17e9:6006', maker: 'DisplayLink', product: 'Dell Universal Dock D6000', serial: 'B1' };
pc.usb('5.1', dock)
  .card(2, 'D6000', ['pcmC#D0p', 'pcmC#D0c'])
  .platform('evdi.0', (path) => pc.gpu(path, 'card5'));
pc.gpu(pc.add('/devices/platform/evdi.1', { subsystem: 'platform', driver: 'evdi' }), 'card6');

test('whatever is plugged at the dock is the seat’s, its screen as well', () => {
  const seen = plug(pc, { left: `  - { label: dock, match: { port: "${usbPort('4')}" } }` });
  assert.equal(seen.owners('card4', 'card0', 'input0'), { card4: 'left', card0: 'left', input0: 'left' });
  const nodes = seen
    .desired('left')
    .devices.flatMap(({ entry: { node } }) => (node ? [`${node.class}/${node.name}`] : []));
  assert.equal(nodes.sort(), ['dri/card4', 'input/event0', 'snd/controlC0', 'snd/pcmC0D0p']);
});

test('a screen that a driver makes below a USB device is at the port of that', () => {
  for (const port of ['5', '5.1']) {
    const seen = plug(pc, { left: `  - { label: dock, match: { port: "${usbPort(port)}" } }` });
    assert.equal(seen.owners('card5', 'card1'), { card5: 'left', card1: 'left' }, port);
  }
});

test('one that it makes below nothing is had by its own port, and by that of no dock', () => {
  const seen = plug(pc, {
    left: `  - { label: dock, match: { port: "${usbPort('5.1')}" } }`,
    right: '  - { label: screen, match: { kind: display, port: platform-evdi.1 } }',
  });
  assert.equal(seen.owners('card5', 'card6'), { card5: 'left', card6: 'right' });
});

test.run();
