// A USB dock of a seat: a graphics adapter (driver udl), a sound card, a keyboard. One rule, by the port of the hub.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { keyboard } from './driver/capabilities.js';
import { field, plug, usbPort } from './driver/field.js';

const pc = field(import.meta.url);
pc.usb('4.2', { ids: '17e9:0351', maker: 'DisplayLink', product: 'USB display adapter' }).gpu(0, 'card1');
pc.usb('4.3', { ids: '0d8c:0014', maker: 'C-Media', product: 'USB Audio Device' }).card(0, 'Device', ['pcmC#D0p']);
pc.usb('4.4', { ids: '1c4f:0002', product: 'USB Keyboard' }).hid(0, [
  { name: 'SIGMACHIP USB Keyboard', can: keyboard },
]);

test('whatever is plugged at the dock is the seat’s, its screen as well', () => {
  const seen = plug(pc, { left: `  - { label: dock, match: { port: "${usbPort('4')}" } }` });
  assert.equal(seen.owners('card1', 'card0', 'input0'), { card1: 'left', card0: 'left', input0: 'left' });
  const nodes = seen
    .desired('left')
    .devices.flatMap(({ entry: { node } }) => (node ? [`${node.class}/${node.name}`] : []));
  assert.equal(nodes.sort(), ['dri/card1', 'input/event0', 'snd/controlC0', 'snd/pcmC0D0p']);
});

test.run();
