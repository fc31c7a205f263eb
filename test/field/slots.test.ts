// A graphics card with its HDMI sound, two functions of one PCI slot; on-board sound with a jack; keyboard and mouse at PS/2.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { jack, keyboard, mouse } from './driver/capabilities.js';
import { faults, field, plug } from './driver/field.js';

const pc = field(import.meta.url);
const onBoard = pc.card(pc.pci('00:1b.0', { ids: '8086:2284', class: '040300', driver: 'snd_hda_intel' }), 'PCH', [
  'pcmC#D0p',
]);
pc.input(onBoard, { bus: '0000', ids: '0000:0000' }, { name: 'Front Headphone', phys: 'ALSA', can: jack }, '');
pc.gpu(pc.pci('00:03.1/28:00.0', { ids: '1002:7480', class: '030000', driver: 'amdgpu' }), 'card1', 'renderD129');
const hdmi = pc.card(
  pc.pci('00:03.1/28:00.1', { ids: '1002:ab30', class: '040300', driver: 'snd_hda_intel' }),
  'HDMI',
  ['pcmC#D3p'],
);
pc.input(hdmi, { bus: '0000', ids: '0000:0000' }, { name: 'HDMI/DP,pcm=3', phys: 'ALSA', can: jack }, '');
pc.ps2('serio0', { name: 'AT Translated Set 2 keyboard', can: keyboard });
pc.ps2('serio4', { name: 'ImPS/2 Generic Wheel Mouse', can: mouse });

test('a slot without the function is refused, and each function is had by its own', () => {
  const [said] = faults({ left: '  - { label: slot, match: { port: "pci-0000:28:00" } }' });
  assert.match(said ?? '', /left\.yaml:4:\d+: "pci-0000:28:00" is a slot without the function.*"pci-0000:28:00\.1"/);
  const seen = plug(pc, {
    left: '  - { label: slot, match: { port: ["pci-0000:28:00.0", "pci-0000:28:00.1"] } }',
    right: '  - { label: screen, match: { kind: display, attr: { vendor: "0x8086" } } }',
  });
  assert.equal(seen.owners('card1', 'input1'), { card1: 'left', input1: 'left' });
  assert.is(seen.verdicts.get(hdmi.replace('/devices', '/sys/devices'))?.kind, 'seat');
});

test('jacks come with their card', () => {
  const seen = plug(pc, { left: '  - { label: sound, match: { kind: speaker, ID_PATH: "pci-0000:00:1b.0" } }' });
  assert.equal(seen.owners('card0', 'input0', 'input1'), { card0: 'left', input0: 'left', input1: 'host' });
});

test('what is at PS/2 is had by its controller', () => {
  const seen = plug(pc, { left: '  - { label: PS/2, match: { port: platform-i8042 } }' });
  assert.equal(seen.owners('input2', 'input3'), { input2: 'left', input3: 'left' });
});

test.run();
