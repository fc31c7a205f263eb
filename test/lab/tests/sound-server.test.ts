// One sound server for two containers, as docs/howto/share-devices.md has it.

import * as assert from 'uvu/assert';
import { seats } from '../driver/lab.js';
import { preparedEngines } from '../driver/prepared.js';
import { policyDirectory, reload } from '../driver/service.js';
import { test } from '../driver/test.js';
import { pulse, settle, sounding } from './sounding.js';

const lab = await preparedEngines();
const { inside, service, anna, cardNodes, until, hears } = sounding(lab);

test.before(async () => {
  await lab.sh('install -d -m 1777 /srv/sound');
  for (const seat of seats) {
    const entry = 'lxc.mount.entry = /srv/sound srv/sound none bind,create=dir 0 0';
    await lab.sh(`echo '${entry}' >> /var/lib/lxc/${seat}/config`);
  }
  // In a virtual machine PulseAudio does not trust the clock and asks the kernel's timer instead (alsa-util.c).
  await lab.sh(`sed -i 's|^devices:|extra: snd/timer\\ndevices:|' ${policyDirectory}/left.yaml`);
  await reload(lab);
  await lab.startContainers();
  for (const seat of seats) await inside(seat, settle);
});

test('both are heard at once from a card that has one substream', async () => {
  await lab.plug({ seat: 'left', driver: 'usb-audio', id: 'card' });
  await until('the card at left', 'left', 'ls /dev/snd', /controlC\d/);
  const socket = 'module-native-protocol-unix socket=/srv/sound/native auth-anonymous=1';
  await service('left', 'server', ...pulse, '-L', socket, '-L', 'module-udev-detect');
  const server = 'PULSE_SERVER=unix:/srv/sound/native';
  await until('the card in the server, seen from right', 'right', `${anna} ${server} pactl list short sinks`, /usb/);
  assert.is(await cardNodes('right'), '', 'right has no card of its own');
  // Until the container stops: both must play while somebody looks.
  const again = ['bash', '-c', 'while paplay /srv/tone.wav; do :; done'];
  for (const seat of seats) await service(seat, 'tone', `--setenv=${server}`, ...again);
  await until('both play', 'left', `${anna} ${server} pactl list short sink-inputs | wc -l`, /^2$/);
  await hears('the card of both');
});

test.after(() => lab.stop());
test.run();
