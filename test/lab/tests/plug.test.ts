import * as assert from 'uvu/assert';
import type { SeatStatus } from '../../../agent/control/messages.js';
import { seats } from '../driver/lab.js';
import { preparedLab } from '../driver/prepared.js';
import { eavesdrop } from '../driver/probes.js';
import { agentLog, inputs, status, xinput } from '../driver/service.js';
import { test } from '../driver/test.js';

const lab = await preparedLab();
const before = (await agentLog(lab)).length;
/** Types a line at left and waits until it is there: every other listener has heard it by then. */
const typesAtLeft = async (text: string): Promise<void> => {
  await lab.type('left', `${text}\n`);
  // The terminal's output of other keys may stand before it.
  await lab.until(`"${text}" at left`, async () => (await lab.typed('left')).some((line) => line.endsWith(text)));
};
const keyboard = 'QEMU QEMU USB Keyboard';
const mouse = 'QEMU QEMU USB Mouse';

test('a keyboard and a mouse plugged at each seat show in the Xorg of that seat only', async () => {
  for (const seat of seats) {
    await lab.plug({ seat, driver: 'usb-kbd', id: `kbd-${seat}` });
    await lab.plug({ seat, driver: 'usb-mouse', id: `mouse-${seat}` });
  }
  for (const seat of seats) {
    await inputs(lab, seat, 2);
    assert.equal((await xinput(lab, seat)).sort(), [keyboard, mouse]);
  }
});

test('kernel names are the same inside, and each seat has its own nodes only', async () => {
  const names: string[] = [];
  const nodesOf = ({ devices }: SeatStatus) =>
    devices.flatMap(({ node }) => (node?.startsWith('/dev/input/') ? [node.slice('/dev/input/'.length)] : []));
  let all: readonly SeatStatus[] = [];
  // A mouse has two nodes, and each is an arrival of its own.
  await lab.until('three nodes at each seat', async () => {
    all = (await status(lab)).seats;
    return all.every((seat) => nodesOf(seat).length === 3);
  });
  for (const one of all) {
    const listed = (await lab.inContainer(one.seat, ['find', '/dev/input', '-type', 'c', '-printf', '%f\\n'])).stdout
      .trim()
      .split('\n')
      .sort();
    assert.equal(listed, nodesOf(one).sort());
    for (const name of listed) assert.ok((await lab.sh(`ls /dev/input/${name}`)).length > 0);
    names.push(...listed);
  }
  assert.is(new Set(names).size, names.length, `a node in two seats: ${names.join(' ')}`);
});

test('what is typed on one head arrives in the terminal of that seat only, and no byte on the host console', async () => {
  await lab.sh('systemctl stop getty@tty1');
  const reader = await eavesdrop(lab);
  await lab.type('left', 'hello from the left\n');
  await lab.type('right', 'and from the right\n');
  await lab.until(
    'both sentences',
    async () => (await lab.typed('left')).length + (await lab.typed('right')).length >= 2,
  );
  assert.equal(await lab.typed('left'), ['hello from the left']);
  assert.equal(await lab.typed('right'), ['and from the right']);
  assert.is(reader.stdout.trim(), 'reading', 'the host console received bytes');
  await reader.kill();
});

test('the raw reader would have seen keys: it does once the console is given back', async () => {
  await lab.sh('systemctl stop hotseat', { timeoutMs: 60_000 });
  await lab.until('the consoles to be given back', async () => /unicode/i.test(await lab.sh('kbd_mode -C /dev/tty1')));
  const reader = await eavesdrop(lab);
  await lab.type('left', 'x\n');
  await lab.until('a byte on the host console', async () => reader.stdout.trim() !== 'reading', 10_000);
  await reader.kill();
  await lab.sh('systemctl start hotseat', { timeoutMs: 60_000 });
});

test('a getty that starts and resets the console does not open it again', async () => {
  await lab.sh("printf '\\033[2J\\033[H' > /dev/tty1; systemctl start getty@tty1");
  await lab.until('the prompt', async () => (await lab.sh("tr -d '\\0' < /dev/vcs1")).includes('login:'));
  await lab.sh('systemctl stop getty@tty1');
  await lab.until('it to be muted', async () => !/unicode/i.test(await lab.sh('kbd_mode -C /dev/tty1')), 10_000);
  const mode = await lab.sh('kbd_mode -C /dev/tty1');
  const reader = await eavesdrop(lab);
  await typesAtLeft('secret');
  assert.is(reader.stdout.trim(), 'reading', `the console listens again: ${mode}`);
  await reader.kill();
});

test('the pointer moves on its own screen only', async () => {
  const where = async (seat: string) => (await lab.inContainer(seat, ['xdotool', 'getmouselocation'])).stdout;
  const before = { left: await where('left'), right: await where('right') };
  await lab.move('left', 120, 60);
  await lab.until('the left pointer to move', async () => (await where('left')) !== before.left, 10_000);
  assert.is(await where('right'), before.right);
});

test('a power key and Alt-SysRq-R at a seat do nothing to the host', async () => {
  const boot = await lab.sh('cat /proc/sys/kernel/random/boot_id');
  await lab.key('left', 'power');
  await lab.key('left', 'alt', 'sysrq', 'r');
  // One keyboard's keys keep their order, and logind answers after its earlier messages.
  await typesAtLeft('after the power key');
  await lab.sh('loginctl list-seats');
  assert.is(await lab.sh('cat /proc/sys/kernel/random/boot_id'), boot);
  assert.match(await lab.sh('systemctl is-system-running || true'), /running|degraded/);
  assert.not.match(await lab.sh('journalctl -b -u systemd-logind --no-pager'), /Power key pressed/i);
  const reader = await eavesdrop(lab);
  await typesAtLeft('q');
  assert.is(reader.stdout.trim(), 'reading', 'SysRq-R has opened the console');
  await reader.kill();
});

test('logind agrees: each seat exists on the host and has its devices, seat0 has none of them', async () => {
  for (const seat of seats) {
    const shown = await lab.sh(`loginctl seat-status seat-${seat} --no-pager`);
    assert.match(shown, /QEMU USB Keyboard/);
    assert.match(shown, /drm:card/);
    assert.match(shown, /usb:1-\d/, 'the hub as well');
  }
  assert.not.match(await lab.sh('loginctl seat-status seat0 --no-pager'), /QEMU USB (Keyboard|Mouse)/);
});

test('every binding has one line with rule, seat, container and the time it took', async () => {
  const bound = (await agentLog(lab)).slice(before).filter(({ msg }) => msg === 'bound');
  const nodes = (await status(lab)).seats.flatMap(({ devices }) => devices.map(({ node }) => String(node)));
  const plugged = nodes.filter((node) => node.startsWith('/dev/input/')).sort();
  assert.is(plugged.length, 6, 'a keyboard has one node, a mouse two');
  assert.equal(bound.map(({ device }) => String(device)).sort(), plugged);
  for (const { rule, seat, container, ms } of bound) {
    assert.match(String(rule), /\.yaml:\d+$/);
    assert.ok(seat !== undefined && container !== undefined && Number(ms) > 0);
  }
  const times = bound.filter(({ from }) => from === 'udev').map(({ ms }) => Number(ms));
  const text = times.sort((a, b) => a - b).map((ms) => ms.toFixed(1));
  console.log(`udev message to announcement, ms (emulated PC): ${text.join(' ')}`);
});

test.after(() => lab.stop());
test.run();
