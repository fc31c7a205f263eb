import * as assert from 'uvu/assert';
import { preparedLab } from '../driver/prepared.js';
import { HOTSEAT_CLI, inputs, policyDirectory, reload, seatStatus, status } from '../driver/service.js';
import { test } from '../driver/test.js';

const lab = await preparedLab();
/** A drop-in for the service. */
const blind = '/run/systemd/system/hotseat.service.d/blind.conf';

test('container restart: its devices are back before its Xorg needs them', async () => {
  await lab.plug({ seat: 'left', driver: 'usb-kbd', id: 'kbd' });
  await inputs(lab, 'left', 1);
  await lab.stopContainers(['left']);
  await lab.until('the seat to wait', async () => (await seatStatus(lab, 'left'))?.state === 'waiting');
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

test('a seat gets another container: the one before it has lost everything but the card that its Xorg draws on', async () => {
  await lab.plug({ seat: 'right', driver: 'usb-kbd', id: 'kbd-right' });
  await inputs(lab, 'right', 1);
  const seatFile = await lab.sh(`cat ${policyDirectory}/right.yaml`);
  await lab.putFile(`${policyDirectory}/right.yaml`, `${seatFile.replace('name: right', 'name: later')}\n`);
  await reload(lab);
  await inputs(lab, 'right', 0);
  const problem = async () => (await seatStatus(lab, 'right'))?.problem ?? '';
  await lab.until('the reason', async () => /card\d cannot leave: held by Xorg \(pid \d+\)/.test(await problem()));
  await lab.unplug('kbd-right');
  await lab.stopContainers(['right']);
  await lab.until('the seat to be free', async () => (await problem()) === '');
});

test('a container that is created later, without any preparation, is grafted live', async () => {
  const config = await lab.sh('cat /var/lib/lxc/left/config');
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

test('a frozen container gets what was plugged meanwhile when it is thawed', async () => {
  await lab.sh('lxc-freeze -n left');
  await lab.until('the agent to see it', async () => (await seatStatus(lab, 'left'))?.state === 'frozen');
  await lab.plug({ seat: 'left', driver: 'usb-mouse', id: 'frozen-mouse' });
  await lab.settled();
  await lab.sh('lxc-unfreeze -n left');
  await inputs(lab, 'left', 2);
  await lab.until('the agent to see that', async () => (await seatStatus(lab, 'left'))?.state === 'running');
});

test('what made its udev monitor before there was a udev to hear is reported deaf, until it is restarted', async () => {
  await lab.stopContainers(['later']);
  const right = await lab.sh(`cat ${policyDirectory}/right.yaml`);
  await lab.sh(`rm ${policyDirectory}/right.yaml`);
  await reload(lab);
  await lab.sh('systemctl start lxc@later', { timeoutMs: 120_000 });
  await lab.containerUp('later');
  const monitor = ['systemd-run', '--unit=monitor', 'udevadm', 'monitor', '--udev'];
  await lab.inContainer('later', monitor);
  await lab.putFile(`${policyDirectory}/right.yaml`, `${right}\n`);
  // Forced, because the keyboard at the right hub has become the host's only one.
  await reload(lab, '--force');
  const deaf = async () => (await seatStatus(lab, 'right'))?.deaf.join() ?? '';
  await lab.until('status to name it', async () => /udevadm \(pid \d+\)/.test(await deaf()));
  const { stdout } = await lab.guest([...HOTSEAT_CLI, 'status'], { allowFailure: true, timeoutMs: 60_000 });
  assert.match(stdout, /deaf, restart it: udevadm/);
  await lab.inContainer('later', ['systemctl', 'restart', 'monitor']);
  // Looked at again every 30 s.
  await lab.until('the report to end', async () => (await deaf()) === '', 120_000);
});

// inotify has room for so many watches of root's, and other programs of the PC may have used them up.
test('an agent that can watch nothing mutes the consoles and says what that is worth', async () => {
  await lab.sh('systemctl stop hotseat', { timeoutMs: 90_000 });
  await lab.putFile(blind, '[Service]\nSystemCallFilter=~inotify_add_watch\n');
  await lab.sh('systemctl daemon-reload && systemctl start hotseat', { timeoutMs: 90_000 });
  await lab.until('the seat', async () => (await seatStatus(lab, 'left'))?.state === 'running');
  assert.not.match(await lab.sh('kbd_mode -C /dev/tty1'), /unicode/i);
  assert.match((await status(lab)).leaks.join(), /^the host's consoles are muted, but not watched \(EPERM: /);
});

test('where no cgroup can be watched, LXC is heard to say that a container has come and gone', async () => {
  const state = async () => (await seatStatus(lab, 'left'))?.state;
  await lab.until('LXC to be heard', async () => (await status(lab)).engines[0]?.reason === undefined);
  await lab.stopContainers(['left']);
  // Without a word it would be looked for every 30 s.
  await lab.until('the seat to wait', async () => (await state()) === 'waiting', 10_000);
  await lab.startContainers(['left']);
  await lab.until('the seat to have it again', async () => (await state()) === 'running', 10_000);
  await lab.sh(`rm ${blind} && systemctl daemon-reload && systemctl restart hotseat`, { timeoutMs: 90_000 });
});

test.after(() => lab.stop());
test.run();
