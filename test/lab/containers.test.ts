import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { preparedLab } from './prepared.js';
import { HOTSEAT_CLI, inputs, policyDirectory, status } from './service.js';

const lab = await preparedLab();

test('container restart: its devices are back before its Xorg needs them', async () => {
  await lab.plug({ seat: 'left', driver: 'usb-kbd', id: 'kbd' });
  await inputs(lab, 'left', 1);
  await lab.stopContainers(['left']);
  assert.is((await status(lab)).seats.find(({ seat }) => seat === 'left')?.state, 'waiting');
  await lab.startContainers(['left']);
  await lab.startScreens(['left']);
  await inputs(lab, 'left', 1);
  const log = (await lab.inContainer('left', ['cat', '/var/log/Xorg.0.log'])).stdout;
  assert.is(
    log.split('Adding input device QEMU QEMU USB Keyboard').length - 1,
    1,
    'found at start, not announced again',
  );
  await lab.type('left', 'back again\n');
  await lab.until('the sentence', async () => (await lab.typed('left')).includes('back again'));
});

test('a container that is created later, without any preparation, is grafted live', async () => {
  const config = await lab.sh('cat /var/lib/lxc/left/config');
  await lab.stopContainers(['right']);
  const seatFile = await lab.sh(`cat ${policyDirectory}/right.yaml`);
  await lab.putFile(`${policyDirectory}/right.yaml`, `${seatFile.replace('name: right', 'name: later')}\n`);
  await lab.guest([...HOTSEAT_CLI, 'reload'], { timeoutMs: 60_000 });
  await lab.plug({ seat: 'right', driver: 'usb-kbd', id: 'kbd-later' });
  const plain = config
    .split('\n')
    .filter((line) => !/(card|hotseat)\.conf/.test(line))
    .join('\n')
    .replaceAll('left', 'later');
  await lab.putFile('/var/lib/lxc/later/config', `${plain}\n`);
  await lab.sh('cp -a /var/lib/lxc/right/delta /var/lib/lxc/later/delta && systemctl start lxc@later', {
    timeoutMs: 120_000,
  });
  await lab.containerUp('later');
  await lab.until('the graft', async () => {
    const { code } = await lab.inContainer('later', ['sh', '-c', 'test -e /run/udev/control && ls /dev/input/event*'], {
      allowFailure: true,
    });
    return code === 0;
  });
  await lab.startScreens(['later']);
  await inputs(lab, 'later', 1);
  await lab.type('right', 'later\n');
  await lab.until('the sentence', async () => (await lab.typed('later')).includes('later'));
});

test.after(() => lab.stop());
test.run();
