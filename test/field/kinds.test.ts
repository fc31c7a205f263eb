// Each kind, as udev's own rules see it.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { isKind } from '../../agent/core/match.js';
import { kinds } from '../../agent/core/policy.js';
import { headsetButtons, jack, keyboard, motionSensors, pad } from './driver/capabilities.js';
import { field, plug } from './driver/field.js';

const pc = field(import.meta.url);
const audio = pc.pci('00:1b.0', { ids: '8086:2284', class: '040300', driver: 'snd_hda_intel' });
const card = pc.card(audio, 'PCH', ['pcmC#D0p', 'pcmC#D0c', 'pcmC#D3p']);
pc.input(
  card,
  { bus: '0000', ids: '0000:0000' },
  { name: 'HDA Intel PCH Front Headphone', phys: 'ALSA', can: jack },
  '',
);
pc.usb('1', { ids: '08bb:2912', product: 'Line in' }).card(0, 'In', ['pcmC#D12c']);
pc.usb('2', { ids: '08bb:2902', product: 'Loudspeakers' }).card(0, 'Out', ['pcmC#D0p']);
pc.usb('3', { ids: '047f:ab04', product: 'Headset' }).hid(3, [{ name: 'Headset', can: headsetButtons }]);
pc.usb('4', { ids: '046d:c31c', product: 'Keyboard' }).hid(0, [{ name: 'Keyboard', can: keyboard }]);
pc.usb('5', { ids: '054c:0268', product: 'Pad' }).hid(0, [
  { name: 'Pad', can: pad },
  { name: 'Pad Motion Sensors', can: motionSensors },
]);

const heads = ['card0', 'input0', 'card1', 'card2', 'input1', 'input2', 'input3', 'input4'];
const expected: Readonly<Record<string, readonly string[]>> = {
  card0: ['sound', 'microphone', 'speaker'],
  input0: ['switch', 'jack'],
  card1: ['sound', 'microphone'],
  card2: ['sound', 'speaker'],
  input1: ['keys'],
  input2: ['keyboard'],
  input3: ['joystick'],
  input4: ['accelerometer'],
};

test('the agent sees the kinds', () => {
  const seen = plug(pc, { left: '  - { label: x, match: { sysname: none } }' });
  for (const name of heads) {
    const { head, nodes } = seen.unit(name);
    assert.equal(
      kinds.filter((kind) => isKind(kind, head, nodes)),
      expected[name],
      name,
    );
  }
});

for (const kind of kinds) {
  test(`udev’s reading of ${kind}, and of all but it, is the agent’s`, () => {
    const seen = plug(pc, {
      left: `  - { label: x, match: { kind: ${kind} } }`,
      right: `  - { label: y, match: { not: { kind: ${kind} } } }`,
    });
    for (const name of heads) assert.is(seen.owner(name), expected[name]?.includes(kind) ? 'left' : 'right', name);
  });
}

test.run();
