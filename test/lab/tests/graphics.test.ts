import * as assert from 'uvu/assert';
import type { Process } from '../driver/channel.js';
import { type Seat, seats } from '../driver/lab.js';
import { gpu, screen } from '../driver/machine.js';
import { preparedLab } from '../driver/prepared.js';
import { pause } from '../driver/probes.js';
import { policyDirectory, reload, seatStatus } from '../driver/service.js';
import { test } from '../driver/test.js';

const lab = await preparedLab();

const inside = async (seat: Seat, script: string): Promise<string> =>
  (await lab.inContainer(seat, ['bash', '-ec', script])).stdout.trim();

const nodes = (seat: Seat) => inside(seat, 'ls /dev/dri');
/** `card1`, as the kernel calls the card in this slot. */
const card = (pci: string) => lab.sh(`basename /sys/bus/pci/devices/${pci}/drm/card*`);
const problem = async (seat: Seat) => (await seatStatus(lab, seat))?.problem ?? '';

/** The messages about graphics to udev's listeners in a container. */
const listen = (seat: Seat): Process =>
  lab.start([
    'lxc-attach',
    '-n',
    seat,
    '--',
    'stdbuf',
    '-oL',
    'udevadm',
    'monitor',
    '--udev',
    '--property',
    '-s',
    'drm',
  ]);

test('a monitor that goes and comes is told to the seat whose card it hangs on, and to nobody else', async () => {
  const name = await card(gpu.left.pci);
  const [left, right] = [listen('left'), listen('right')];
  await lab.until('both to listen', async () => [left, right].every(({ stdout }) => stdout.includes('UDEV')));
  const connector = await lab.sh(`cd /sys/class/drm; ls -d ${name}-* | cut -d- -f2-`);
  const current = () => inside('left', 'xrandr --current');
  assert.match(await current(), new RegExp(`${connector} connected`));
  // QEMU has been told of no monitor yet, and takes no notice of none again: another one comes first.
  await lab.monitor('left', { width: 800, height: 600 });
  await lab.until('the change at left', async () => /HOTPLUG=1/.test(left.stdout), 30_000);
  await lab.until('Xorg to know its size', async () => /800x600 .*\+/.test(await current()), 30_000);
  await lab.monitor('left', undefined);
  await lab.until('Xorg to know', async () => (await current()).includes(`${connector} disconnected`), 30_000);
  await lab.monitor('left', screen);
  await lab.until('the monitor again', async () => (await current()).includes(`${connector} connected`), 30_000);
  await pause(500);
  assert.match(left.stdout, new RegExp(`DEVNAME=/dev/dri/${name}`));
  assert.not.match(right.stdout, /HOTPLUG/);
  await Promise.all([left.kill(), right.kill()].map((done) => done.catch(() => undefined)));
  const record = await lab.sh('cat /run/hotseat/seats/left/udev/data/c226:*');
  assert.not.match(record, /HOTPLUG/, 'news of the moment is no property of the card');
});

test('a graphics card that leaves the PC leaves its seat, and is the seat’s again when it comes back', async () => {
  await inside('right', 'systemctl stop term xorg');
  await lab.sh(`echo 1 > /sys/bus/pci/devices/${gpu.right.pci}/remove`);
  await lab.until('no card at right', async () => (await nodes('right')) === '');
  await lab.sh('echo 1 > /sys/bus/pci/rescan');
  await lab.until('a card at right', async () => /card\d/.test(await nodes('right')));
  assert.match(await nodes('right'), new RegExp(await card(gpu.right.pci)));
  await lab.startScreens(['right']);
});

/** Has a file open as an ordinary user of the host, in a message that nobody has read: in nobody's table of descriptors. */
const handed = (path: string): Process => {
  const script = `import array, os, socket, sys, time
reader, writer = socket.socketpair()
file = os.open("${path}", os.O_RDWR)
writer.sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [file]))])
os.close(file)
os.setgid(4242)
os.setuid(4242)
print("held", flush=True)
time.sleep(600)`;
  return lab.start(['python3', '-c', script]);
};

test('a card that somebody holds, or was handed, does not change hands before it is let go, and who has it is named', async () => {
  const name = await card(gpu.host.pci);
  const rule = `  - { label: the third card, match: { subsystem: drm, ID_PATH: "pci-${gpu.host.pci}" } }`;
  const give = async (seat: Seat | undefined) => {
    for (const other of seats) await lab.sh(`sed -i '/the third card/d' ${policyDirectory}/${other}.yaml`);
    if (seat !== undefined) await lab.sh(`printf '%s\\n' '${rule}' >> ${policyDirectory}/${seat}.yaml`);
    await reload(lab);
  };
  await give('left');
  await lab.until('the card at left', async () => (await nodes('left')).includes(name));
  const script = `import sys, time; card = open("/dev/dri/${name}", "rb+", 0); print("held", flush=True); time.sleep(600)`;
  const holder = lab.start(['lxc-attach', '-n', 'left', '--', 'python3', '-c', script]);
  // Descriptors in flight hold up no card: the kernel itself says which processes have one open.
  const [friend, stranger] = [handed(`/dev/dri/${name}`), handed('/dev/null')];
  const all = [holder, friend, stranger];
  await lab.until('them to hold it', async () => all.every(({ stdout }) => stdout.includes('held')));
  await give('right');
  await lab.until('it to be blocked', async () => /cannot leave: held by python3/.test(await problem('left')));
  assert.match(await nodes('left'), new RegExp(name), 'it stays whole where it is');
  assert.not.match(await nodes('right'), new RegExp(name));
  await lab.sh('pkill -f "card = open"');
  await lab.until('its friend to be named', async () =>
    /cannot leave: the kernel says that python3 \(pid \d+\) has it open/.test(await problem('left')),
  );
  assert.not.match(await nodes('right'), new RegExp(name));
  await lab.sh(`pkill -f "os.open../dev/dri/${name}"`);
  await lab.until('the card at right', async () => (await nodes('right')).includes(name));
  assert.not.match(await nodes('left'), new RegExp(name));
  assert.is(await problem('left'), '');
  await lab.sh('pkill -f "os.open../dev/null"'); // It was there all the time.
  await give(undefined);
  await lab.until('nobody to have it', async () => !(await nodes('right')).includes(name));
});

test.after(() => lab.stop());
test.run();
