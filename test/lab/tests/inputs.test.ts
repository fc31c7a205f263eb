import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import { type Seat, seats } from '../driver/lab.js';
import { guestFiles } from '../driver/paths.js';
import { preparedLab } from '../driver/prepared.js';
import { policyDirectory, reload, seatStatus } from '../driver/service.js';
import { test } from '../driver/test.js';
import { VirtualDevices } from '../driver/virtual.js';

const lab = await preparedLab();
let devices: VirtualDevices;

const inside = async (seat: Seat, script: string): Promise<string> =>
  (await lab.inContainer(seat, ['bash', '-ec', script])).stdout.trim();
const nodes = (seat: Seat) => inside(seat, 'cd /dev/input; ls -d event* js* mouse* 2>/dev/null || true');
const xinput = (seat: Seat) => inside(seat, 'xinput list --name-only');

const rules: Readonly<Record<Seat, readonly string[]>> = {
  left: [
    `{ label: virtual things, match: { subsystem: input, NAME: ["?left *"] } }`,
    `{ label: a Bluetooth keyboard, match: { subsystem: input, UNIQ: ["?aa:bb:cc:00:00:01?"] } }`,
    `{ label: what loginctl was told, match: { subsystem: input, ID_SEAT: seat-left } }`,
  ],
  right: [`{ label: a Bluetooth keyboard, match: { subsystem: input, UNIQ: ["?aa:bb:cc:00:00:02?"] } }`],
};

test.before(async () => {
  for (const seat of seats) {
    const file = `${policyDirectory}/${seat}.yaml`;
    await lab.putFile(file, `${await lab.sh(`cat ${file}`)}\n${rules[seat].map((rule) => `  - ${rule}\n`).join('')}`);
    await inside(seat, 'useradd --create-home --groups input anna');
  }
  await reload(lab);
  devices = await VirtualDevices.start(lab);
});

for (const [kind, nodesOf] of [
  ['touchscreen', /event/],
  ['touchpad', /event/],
  ['tablet', /event/],
] as const) {
  test(`a ${kind} comes to its seat's Xorg and goes`, async () => {
    await devices.plug(kind, kind, `left ${kind}`);
    await lab.until(`the ${kind} in xinput`, async () => (await xinput('left')).includes(`left ${kind}`));
    assert.match(await nodes('left'), nodesOf);
    assert.is(await nodes('right'), '');
    await devices.unplug(kind);
    await lab.until(`no ${kind} in xinput`, async () => !(await xinput('left')).includes(`left ${kind}`));
    await lab.until('no node', async () => (await nodes('left')) === '');
  });
}

/** A game of anna's, who is in the group `input` and is not root. */
async function game(how: 'udev' | 'inotify') {
  await lab.inContainer('left', ['sh', '-c', 'cat > /srv/sdl.py'], {
    stdin: await readFile(join(guestFiles, 'probes/sdl.py')),
  });
  const env = ['SDL_JOYSTICK_ALLOW_BACKGROUND_EVENTS=1', ...(how === 'inotify' ? ['SDL_JOYSTICK_DISABLE_UDEV=1'] : [])];
  const argv = ['runuser', '-u', 'anna', '--', 'env', ...env, 'python3', '-u', '/srv/sdl.py'];
  const running = lab.start(['lxc-attach', '-n', 'left', '--', ...argv]);
  await lab.until('the game to run', async () => running.stdout.includes('ready'));
  return running;
}

for (const how of ['udev', 'inotify'] as const) {
  test(`a game controller comes with its js node, plays in SDL by ${how}, and goes`, async () => {
    const running = await game(how);
    await devices.plug('pad', 'gamepad', 'left pad');
    await lab.until('the game to see it', async () => /added left pad|added .*/.test(running.stdout), 20_000);
    // Each node is an arrival of its own.
    await lab.until('both nodes', async () => /event\d+\s+js\d+/.test(await nodes('left')));
    await devices.press('pad', 0x130);
    await lab.until('the game to hear a button', async () => running.stdout.includes('pressed'), 20_000);
    await devices.unplug('pad');
    await lab.until('the game to lose it', async () => running.stdout.includes('removed'), 20_000);
    await lab.sh('pkill -f sdl.py');
  });
}

test('Bluetooth keyboards are told apart by their addresses', async () => {
  await devices.plugBluetooth('one', 'aa:bb:cc:00:00:01', 'Pocket Keyboard');
  await devices.plugBluetooth('two', 'aa:bb:cc:00:00:02', 'Pocket Keyboard');
  for (const seat of seats) await lab.until(`it at ${seat}`, async () => /event/.test(await nodes(seat)));
  for (const seat of seats) assert.is((await nodes(seat)).split('\n').length, 1);
  for (const id of ['one', 'two']) await devices.unplug(id);
  for (const seat of seats) await lab.until(`nothing at ${seat}`, async () => (await nodes(seat)) === '');
});

test('stable names lead to the devices of the seat alone', async () => {
  await lab.plug({ seat: 'left', driver: 'usb-kbd', id: 'kbd', serial: 'STABLE' });
  const list = 'cd /dev/input; for l in by-*/*; do echo $l $(readlink -e $l); done';
  await lab.until('the link', async () =>
    /by-path\/.*event-kbd \/dev\/input\/event\d+/.test(await inside('left', list)),
  );
  assert.match(await inside('left', list), /by-id\/usb-QEMU_QEMU_USB_Keyboard_STABLE-event-kbd/);
  assert.is(await inside('right', 'ls /dev/input | grep by- || true'), '');
  await lab.unplug('kbd');
  await lab.until(
    'no link',
    async () => (await inside('left', 'cd /dev/input; ls -d by-*/* 2>/dev/null || true')) === '',
  );
});

/**
 * logind writes a rules file and triggers the device, and udevd may not have noticed the file by then: it looks for
 * changed rules every three seconds at most (systemd, src/udev/udev-manager.c). That is made certain here, it is not ours.
 * `usb`: the USB device. It stays when its driver is bound again, and the input below it gets another name.
 */
async function loginctl(usb: string, ...words: string[]): Promise<void> {
  await lab.guest(['loginctl', ...words]);
  await lab.guest(['udevadm', 'control', '--reload']);
  await lab.guest(['udevadm', 'trigger', '--action=change', '--settle', `--parent-match=${usb}`]);
}

test('what `loginctl attach` is told moves a device live, and back when it is flushed', async () => {
  await lab.plug({ seat: 'host', driver: 'usb-kbd', id: 'told' });
  let head = '';
  await lab.until('it on the host', async () => {
    await lab.settled();
    head = await lab.sh(
      "cd /run/udev/data && grep -l 'ID_INPUT_KEYBOARD=1' +input:input* | xargs -r grep -l 'usb-0:3' | head -1 || true",
    );
    return head !== '';
  });
  const syspath = await lab.sh(`realpath /sys/class/input/${head.split('+input:')[1] ?? ''}`);
  const usb = syspath.replace(/\/[^/]+:1\.0\/.*/, '');
  assert.is(await nodes('left'), '');
  await loginctl(usb, 'attach', 'seat-left', syspath);
  await lab.until('it at left', async () => /event/.test(await nodes('left')));
  assert.match((await seatStatus(lab, 'left'))?.devices.map(({ rule }) => rule).join() ?? '', /left\.yaml/);
  await loginctl(usb, 'flush-devices');
  await lab.until('it on the host again', async () => (await nodes('left')) === '');
});

test.after(() => lab.stop());
test.run();
