import * as assert from 'uvu/assert';
import { EngineSeats } from '../driver/engine-seats.js';
import { script, variants } from '../driver/engine-variants.js';
import { preparedLab, putEngineFiles } from '../driver/prepared.js';
import { HOTSEAT_CLI, inputs, seatStatus, xinput } from '../driver/service.js';
import { test } from '../driver/test.js';

// Containers that run a udevd of their own, which a container does where it may write to /sys.
const lab = await preparedLab();

const inside = async (command: string): Promise<string> =>
  (await lab.inContainer('left', ['bash', '-ec', command])).stdout.trim();
const keyboard = 'QEMU QEMU USB Keyboard';
const units = ['systemd-udevd.service', 'systemd-udevd-kernel.socket', 'systemd-udevd-control.socket'];

test('a container that starts a udevd of its own keeps its database, and status says so', async () => {
  await lab.stopContainers(['left']);
  await lab.plug({ seat: 'left', driver: 'usb-mouse', id: 'cold' });
  // Without the agent's part in its configuration, and with the units that the lab's image has masked.
  await lab.sh(`cd /var/lib/lxc/left
    sed -i 's/sys:ro/sys:rw/' config
    sed -i '/run.udev/d; /tmpfs run/d' hotseat.conf
    for unit in ${units.join(' ')}; do rm -f delta/etc/systemd/system/$unit; mknod delta/etc/systemd/system/$unit c 0 0; done`);
  await lab.startContainers(['left']);
  await lab.until('status to say so', async () => (await seatStatus(lab, 'left'))?.udev === 'own', 90_000);
  const { stdout } = await lab.guest([...HOTSEAT_CLI, 'status'], { allowFailure: true, timeoutMs: 60_000 });
  assert.match(stdout, /udev: its own/);
  assert.is(await inside('systemctl is-active systemd-udevd'), 'active');
  assert.is(await inside("grep -c ' /run/udev ' /proc/self/mountinfo || true"), '0');
  assert.is((await seatStatus(lab, 'right'))?.udev, 'ours');
});

test('what was plugged before is there, and a keyboard plugged now is in Xorg exactly once', async () => {
  await lab.startScreens(['left']);
  await inputs(lab, 'left', 1);
  await lab.plug({ seat: 'left', driver: 'usb-kbd', id: 'kbd' });
  await inputs(lab, 'left', 2);
  await lab.type('left', 'heard once\n');
  await lab.until('the sentence', async () => (await lab.typed('left')).includes('heard once'));
  assert.equal(await lab.typed('left'), ['heard once']);
  assert.is((await xinput(lab, 'left')).filter((name) => name === keyboard).length, 1);
});

test('its udevd hears of the neighbour’s keyboard from the kernel, and its Xorg gets nothing of it', async () => {
  await lab.plug({ seat: 'right', driver: 'usb-kbd', id: 'other' });
  await inputs(lab, 'right', 1);
  await inside('udevadm settle');
  assert.is((await xinput(lab, 'left')).length, 2);
});

test('a restart of the agent announces nothing again; what is unplugged goes', async () => {
  const added = async () => (await inside("grep -c 'Adding input device' /var/log/Xorg.0.log || true")) ?? '';
  const before = await added();
  await lab.sh('systemctl restart hotseat', { timeoutMs: 60_000 });
  await lab.until('the agent to serve', async () => (await seatStatus(lab, 'left'))?.udev === 'own');
  await lab.unplug('kbd');
  await inputs(lab, 'left', 1);
  // Messages keep their order: a repeated announcement came before that removal.
  assert.is(await added(), before);
});

test('in an unprivileged container, which hears nothing of the kernel, its own udevd is told of each device once', async () => {
  const variant = variants.find(({ title }) => title === 'lxc, unprivileged');
  assert.ok(variant !== undefined);
  await putEngineFiles(lab);
  // A seat changes its container as a whole, and their Xorgs would keep the cards.
  await lab.stopContainers();
  const engine = new EngineSeats(lab, variant);
  await engine.rule();
  await script(lab, engine.name('left'), variant.prepare);
  await engine.start('left');
  await engine.newNode('left', 'input');
  assert.is((await engine.seat('left'))?.udev, 'ours', 'nothing says that it will run one');
  // Somebody starts one by hand, and makes room for it. An agent that looks just now would put its database back there.
  await lab.sh('systemctl kill --signal=STOP hotseat');
  const byHand = 'umount /run/udev && mkdir -p /run/udev && exec /usr/lib/systemd/systemd-udevd --daemon';
  assert.is.not(await engine.inside('left', byHand), undefined);
  await lab.sh('systemctl kill --signal=CONT hotseat');
  // Looked at again every 30 s.
  await lab.until('it to be seen', async () => (await engine.seat('left'))?.udev === 'own', 90_000);
  const mounted = await engine.inside('left', "grep ' /run/udev ' /proc/self/mountinfo || echo none");
  assert.is(mounted, 'none');
  await lab.until('the new one to be told what was there before', async () =>
    /ID_INPUT_MOUSE=1/.test((await engine.inside('left', 'cat /run/udev/data/c13:*')) ?? ''),
  );

  const monitor = await engine.listen('left');
  const before = await engine.nodes('left', 'input');
  await lab.plug({ seat: 'left', driver: 'usb-kbd', id: 'kbd2' });
  const node = await engine.newNode('left', 'input', before);
  const name = node.split('/').at(-1) ?? '';
  await lab.until('its udevd to say so', async () => monitor.stdout.includes(`/${name} (input)`));
  await engine.has('left', node);
  await lab.unplug('kbd2');
  const said = () => monitor.stdout.split('\n').filter((line) => line.includes(`/${name} (input)`));
  await lab.until('its removal', async () => / remove /.test(said().at(-1) ?? ''));
  assert.is(said().length, 2, said().join('\n'));
  assert.match(said()[0] ?? '', /^UDEV .* add /);
  await monitor.kill().catch(() => undefined);
  await engine.inside('left', 'udevadm control --exit');
  await engine.stop('left');
});

test.after(() => lab.stop());
test.run();
