// One graphics card with two outputs, a seat at each: two X servers that run as ordinary users, by leases; then a wlroots
// compositor in the place of one of them. At the end the same in unprivileged containers, with everything else plugged there.

import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import type { Explanation } from '../../../agent/control/messages.js';
import { type Seat, seats } from '../driver/lab.js';
import { gpu, screen, twoOutputs } from '../driver/machine.js';
import { checkout, guestFiles } from '../driver/paths.js';
import { colourAt, shownAt } from '../driver/picture.js';
import { labWithTwoOutputs } from '../driver/prepared.js';
import { ask, HOTSEAT_UNIT, policyDirectory, reload, seatStatus, status } from '../driver/service.js';
import { test } from '../driver/test.js';
import { scenario } from '../scenario/scenario.js';
import { compositors } from './compositors.js';
import { identifiedOutput, leasedOutput } from './identified-output.js';
import { type Lessee, refused } from './lessee.js';

const lab = await labWithTwoOutputs();

/** Which output of the card each seat has, as QEMU counts them. */
const output = { left: 0, right: 1 } as const;
/** The colour of each seat's terminal (test/lab/driver/deploy.ts). */
const colours = { left: '102040', right: '401020' } as const;
const black = '000000';

const inside = async (seat: Seat, script: string): Promise<string> =>
  (await lab.inContainer(seat, ['bash', '-ec', script])).stdout.trim();

const put = (seat: Seat, path: string, text: string, mode = '0644') =>
  lab.inContainer(seat, ['bash', '-ec', `mkdir -p "$(dirname ${path})"; cat > ${path}; chmod ${mode} ${path}`], {
    stdin: text,
  });

/** The colour in a lower corner of a seat's output of the shared card, or of its own card, where nothing is written. */
const colourOf = async (seat: Seat, isOwnCard = false): Promise<string> =>
  colourAt(await (isOwnCard ? shownAt(lab, seat) : shownAt(lab, twoOutputs, output[seat])), 60, screen.height - 40);

const shows = (seat: Seat, colour: string, isOwnCard = false) =>
  lab.until(`${colour} at ${seat}`, async () => (await colourOf(seat, isOwnCard)) === colour, 60_000);

const xorg = (seat: Seat) => inside(seat, 'ps -o pid=,uid= -C Xorg');
const outputs = async (seat: Seat) => (await seatStatus(lab, seat))?.outputs ?? [];
const holder = () => lab.sh('systemctl show -p MainPID --value hotseat-holder.service');

const card = await lab.sh(`basename /sys/bus/pci/devices/${gpu[twoOutputs].pci}/drm/card*`);
const names = (await lab.sh(`cd /sys/class/drm; ls -d ${card}-Virtual-* | cut -d- -f2-`)).split('\n');

/**
 * Gives a seat its output of the card, all outputs of its own card, or no screen at all, in the place of the screens in its
 * file.
 */
async function give(seat: Seat, isGiven: boolean, isOwnCard = false): Promise<void> {
  const which = isOwnCard ? [gpu[seat].pci, '"*"'] : [gpu[twoOutputs].pci, names[output[seat]]];
  const match = `{ subsystem: drm, ID_PATH: "pci-${which[0]}", connector: ${which[1]} }`;
  const rule = `  - { label: the output, match: ${match} }`;
  const file = `${policyDirectory}/${seat}.yaml`;
  await lab.sh(`sed -i '/label: the output/d; /${seat} screen/,+1d' ${file}`);
  if (isGiven) await lab.sh(`printf '%s\\n' '${rule}' >> ${file}`);
}

/** Planes of the card with a picture, as `crtc-0: plane-0` (drm_atomic.c, drm_state_dump). */
async function pictures(): Promise<string[]> {
  const state = await lab.sh(`cat /sys/kernel/debug/dri/${card.replace('card', '')}/state`);
  return [...state.matchAll(/^plane\[\d+\]: (.+)\n\tcrtc=(.+)\n\tfb=(\d+)/gm)].flatMap(([, plane, crtc, fb]) =>
    fb === '0' ? [] : [`${crtc}: ${plane}`],
  );
}

async function prepare(seat: Seat): Promise<void> {
  await put(seat, '/usr/local/bin/hotseat-xorg', await readFile(join(checkout, 'rules/hotseat-xorg'), 'utf8'), '0755');
  await put(seat, '/usr/local/bin/lessee', await readFile(join(guestFiles, 'probes/lessee.py'), 'utf8'), '0755');
  const conf = await readFile(join(checkout, 'rules/xorg-outputs.conf'), 'utf8');
  await put(seat, '/etc/X11/xorg.conf.d/hotseat.conf', conf);
  const unit = `[Service]
User=seat
ExecStart=
ExecStart=/usr/local/bin/hotseat-xorg :0 -noreset -nolisten tcp -s 0 -ac
`;
  await put(seat, '/etc/systemd/system/xorg.service.d/lease.conf', unit);
  await inside(
    seat,
    `systemctl stop term xorg; rm -f /etc/X11/xorg.conf; useradd -m -G video,input seat
     printf 'Section "ServerFlags"\\n Option "BlankTime" "0"\\nEndSection\\n' > /etc/X11/xorg.conf.d/blank.conf
     systemctl daemon-reload`,
  );
}

test('two seats share a card: the agent asks for the outputs, and neither gets a node of it', async () => {
  await lab.monitor(twoOutputs, screen, 1);
  await lab.plug({ seat: 'left', driver: 'usb-kbd', id: 'left-keys' });
  await lab.plug({ seat: 'right', driver: 'usb-kbd', id: 'right-keys' });
  await Promise.all(seats.map(prepare));
  for (const seat of seats) await give(seat, true);
  await reload(lab);
  for (const seat of seats) {
    // The card that each had as a whole leaves first.
    await lab.untilInside(
      seat,
      'its socket and nothing else',
      '[ "$(ls -I by-path /dev/dri)" = hotseat ] && test -S /dev/dri/hotseat',
    );
    await lab.until('nothing in the way', async () => (await outputs(seat))[0]?.state === 'waiting');
    assert.match(await inside(seat, 'stat -c "%U %G %a" /dev/dri/hotseat'), /^root video 660$/);
  }
});

identifiedOutput({ lab, card, connectors: names });

test('each shows its own picture on its own output, as an ordinary user, and hears its own keyboard', async () => {
  await lab.startScreens();
  for (const seat of seats) {
    await shows(seat, colours[seat]);
    assert.match(await xorg(seat), /^\d+\s+1000$/);
    const [one] = await outputs(seat);
    assert.is(one?.state, 'leased', JSON.stringify(one));
    assert.equal(one?.leased, [names[output[seat]]]);
    const device = `${card}-${names[output[seat]]}`;
    const explained = (await ask(lab, { verb: 'explain', device })) as Explanation;
    assert.equal([explained.owner, explained.outputs?.[0]?.status], [seat, 'connected']);
    assert.ok(explained.trace.some((rule) => rule.seat === seat && rule.failed === undefined));
    await lab.type(seat, `typed at ${seat}\n`);
  }
  for (const seat of seats) {
    await lab.until(`the line at ${seat}`, async () => (await lab.typed(seat)).includes(`typed at ${seat}`));
    assert.is((await lab.typed(seat)).length, 1, 'and nothing else');
  }
});

leasedOutput({ lab, card, connectors: names });

test('a monitor that goes and comes is told to the seat whose output it is', async () => {
  const listen = (seat: Seat) =>
    lab.start(['lxc-attach', '-n', seat, '--', 'stdbuf', '-oL', 'udevadm', 'monitor', '--udev', '-p', '-s', 'drm']);
  const right = listen('right');
  const heard = ({ stdout }: typeof right) => stdout.split('HOTPLUG=1').length - 1;
  await lab.until('it to listen', async () => right.stdout.includes('UDEV'));
  await lab.monitor(twoOutputs, undefined, output.right);
  await lab.until('the change at right', async () => heard(right) > 0, 30_000);
  const first = heard(right);
  await lab.monitor(twoOutputs, screen, output.right);
  await lab.until('both changes', async () => heard(right) > first, 30_000);
  await shows('right', colours.right);
  // This card's driver changes a connector's status only when somebody probes it, so that its news could be about either: the
  // other seat may hear of it, too. Who hears where the status says it is for unit/outputs.
  await right.kill().catch(() => undefined);
});

test('a crash, a restart and an upgrade of the agent leave both pictures on: the same leases, holder and display servers', async () => {
  const leases = () => Promise.all(seats.map(async (seat) => (await outputs(seat))[0]?.since));
  const facts = async () => [await holder(), ...(await Promise.all(seats.map(xorg))), ...(await leases())];
  const agent = () => lab.sh(`systemctl show -p MainPID --value ${HOTSEAT_UNIT}`);
  const before = await facts();
  const ends = [
    `systemctl kill -s KILL ${HOTSEAT_UNIT}`,
    // As an upgrade does it; unit/install looks at the package's scripts.
    `systemctl daemon-reload; systemctl restart ${HOTSEAT_UNIT}`,
  ];
  for (const end of ends) {
    const former = await agent();
    await lab.guest(['sh', '-c', end], { timeoutMs: 100_000 });
    for (const seat of seats) assert.is(await colourOf(seat), colours[seat], end);
    const isAnother = async () => ![former, '0'].includes(await agent()) && (await status(lab)) !== undefined;
    await lab.until('another agent', () => isAnother().catch(() => false), 90_000);
    await lab.until('it to know', async () => (await outputs('left'))[0]?.state === 'leased', 30_000);
    assert.equal(await facts(), before, end);
    for (const seat of seats) {
      assert.is(await colourOf(seat), colours[seat], end);
      assert.is(await inside(seat, 'ls -I by-path /dev/dri'), 'hotseat');
    }
  }
});

test('an output that policy takes away is dark at once, and the other seat has no part in it', async () => {
  const others = await xorg('right');
  // A pointer that has moved is a picture on a plane of its own.
  for (const seat of seats) await inside(seat, 'DISPLAY=:0 xdotool mousemove 100 100');
  const before = await pictures();
  assert.is(before.length, 4, before.join(', '));
  await give('left', false);
  await reload(lab);
  await shows('left', black);
  const after = await pictures();
  assert.ok(after.length === 2 && after[0]?.split(':')[0] === after[1]?.split(':')[0], after.join(', '));
  // An X server goes on without its lease. The agent hears of that from the holder, after the picture is off.
  await lab.until('status to name its X server', async () => (await outputs('left'))[0]?.state === 'restart');
  assert.is(await colourOf('right'), colours.right);
  assert.is(await xorg('right'), others);
  assert.is((await outputs('right'))[0]?.state, 'leased');
  await lab.type('right', 'still here\n');
  await lab.until('the line at right', async () => (await lab.typed('right')).includes('still here'));
});

test('with a lease nobody gets at another output, nor reads or changes what it shows, also when the lease is taken back', async () => {
  await give('left', true);
  await reload(lab);
  await inside('left', 'systemctl stop term xorg');
  await lab.untilInside('left', 'its socket', 'test -S /dev/dri/hotseat');
  const user = ['setpriv', '--reuid', 'seat', '--regid', 'seat', '--init-groups'];
  const lessee = lab.start(['lxc-attach', '-n', 'left', '--', ...user, 'lessee', 'hold']);
  const said = async <T>(line: number): Promise<T> => {
    await lab.until(`line ${line}`, async () => lessee.stdout.split('\n').length > line);
    return JSON.parse(lessee.stdout.split('\n')[line - 1] ?? '') as T;
  };
  const tried = await said<Lessee>(1);
  assert.equal(tried.answer.outputs, [names[output.left]]);
  assert.is(tried.connectors.length, 1, 'its own connector');
  assert.is(tried.crtcs.length, 1, 'its own CRTC');
  assert.is(tried.refused.lease, 'EINVAL');
  assert.ok(tried.refused.master !== null);
  assert.is(tried.refused.reopen, 'EPERM');
  const nothing = refused('EPERM');
  assert.equal(tried.pictures, nothing);
  // When these are 0 one day, the kernel has closed the gap that status, doctor and the docs tell of.
  for (const [by, { done, errors }] of Object.entries(tried.screens))
    assert.ok(done > 0, `no framebuffer of the neighbour is ${by}: ${errors}`);
  assert.is(await colourOf('right'), colours.right);
  const [mine] = await outputs('left');
  assert.equal([mine?.sharedWith, mine?.unguarded], [['right'], undefined]);
  await give('left', false);
  await reload(lab);
  await shows('left', black);
  lessee.write('again\n');
  const later = await said<Pick<Lessee, 'pictures' | 'screens'>>(2);
  assert.equal(later.pictures, nothing);
  const done = Object.values(later.screens).map((one) => one.done);
  assert.equal(done, [0, 0], JSON.stringify(later.screens));
  assert.is(await colourOf('left'), black);
  assert.is(await colourOf('right'), colours.right);
  await lessee.kill().catch(() => undefined);
  await give('left', true);
  await reload(lab);
});

test('with `render: true` a seat opens the render node of the card and nothing else of it, and nobody loses a lease', async () => {
  const before = [await holder(), await xorg('right'), (await outputs('right'))[0]?.since];
  const file = `${policyDirectory}/left.yaml`;
  await lab.sh(`sed -i 's/label: the output,/label: the output, render: true,/' ${file}`);
  await reload(lab);
  await lab.untilInside('left', 'a render node', 'test -c /dev/dri/renderD*');
  // Beside the names by path.
  assert.match(await inside('left', 'ls -I by-path /dev/dri | paste -sd " "'), /^hotseat renderD\d+$/);
  const groups = '$(stat -c %g /dev/dri/renderD*)';
  const open = `import os, glob; os.open(glob.glob("/dev/dri/renderD*")[0], os.O_RDWR); print("opened")`;
  assert.is(
    await inside('left', `setpriv --reuid seat --regid seat --groups ${groups} python3 -c '${open}'`),
    'opened',
  );
  const number = await lab.sh(`cat /sys/class/drm/${card}/dev`);
  // Root of a container may fail at either.
  const make = `if mknod /root/card c ${number.replace(':', ' ')} && (exec 3<> /root/card); then exit 1; fi; rm -f /root/card`;
  await inside('left', make);
  assert.equal([await holder(), await xorg('right'), (await outputs('right'))[0]?.since], before);
  assert.is(await colourOf('right'), colours.right);
  await lab.sh(`sed -i 's/ render: true,//' ${file}`);
  await reload(lab);
  await lab.untilInside('left', 'its socket alone', '[ "$(ls -I by-path /dev/dri)" = hotseat ]');
  assert.equal([await holder(), await xorg('right'), (await outputs('right'))[0]?.since], before);
});

test('each start of a display server gets a lease of its own', async () => {
  await lab.startScreens(['left']);
  await shows('left', colours.left);
  const first = (await outputs('left'))[0]?.since;
  await inside('left', 'systemctl stop term xorg');
  await shows('left', black);
  await lab.startScreens(['left']);
  await shows('left', colours.left);
  const [second] = await outputs('left');
  assert.is(second?.state, 'leased');
  assert.is.not(second?.since, first);
  assert.is(await colourOf('right'), colours.right);
});

/** Of the window that the compositor shows. */
const painted = '206040';
const kiosk = `[Service]
User=seat
RuntimeDirectory=kiosk
Environment=XDG_RUNTIME_DIR=/run/kiosk
ExecStart=/usr/local/bin/hotseat-wlroots cage -d -- python3 /usr/local/lib/painter.py ${painted} /run/kiosk/typed
`;

test('a wlroots compositor draws and hears its keyboard through the seat’s socket, without a node, beside an X server', async () => {
  const others = await xorg('right');
  await inside('left', 'systemctl stop term xorg');
  const launcher = await readFile(join(checkout, 'rules/hotseat-wlroots'), 'utf8');
  await put('left', '/usr/local/bin/hotseat-wlroots', launcher, '0755');
  await put('left', '/usr/local/lib/painter.py', await readFile(join(guestFiles, 'probes/painter.py'), 'utf8'));
  await put('left', '/etc/systemd/system/kiosk.service', kiosk);
  await lab.sh(`sed -i '/^seat:/a receive: descriptor' ${policyDirectory}/left.yaml`);
  await reload(lab, '--force');
  await lab.untilInside(
    'left',
    'its sockets, and no node',
    `[ "$(ls -I by-path /dev/dri | paste -sd ' ')" = '${card} hotseat' ] && [ "$(ls -A /dev/input)" = seatd.sock ]`,
  );
  assert.is(await inside('left', `stat -c '%F %a' /dev/dri/${card}`), 'regular empty file 0');
  await inside('left', 'systemctl daemon-reload; systemctl start kiosk');
  await shows('left', painted);
  assert.is(await inside('left', 'ps -o user= -C cage'), 'seat');
  const [one] = await outputs('left');
  assert.equal([one?.state, one?.leased], ['leased', [names[output.left]]]);
  await lab.until('its keyboard', async () => (await seatStatus(lab, 'left'))?.served?.opened.length === 1);
  // Its window does not listen yet at its first picture.
  await lab.untilInside('left', 'it to listen', 'grep -q listening /run/kiosk/typed');
  await lab.type('left', 'typed at left\n');
  await lab.untilInside('left', 'the line', `[ "$(tail -n +2 /run/kiosk/typed)" = 'typed at left' ]`);
  assert.is(await colourOf('right'), colours.right);
  assert.is(await xorg('right'), others);
});

test('its output is taken away: dark at once; its next start draws on what the seat has then, all outputs of another card', async () => {
  await give('left', false);
  await reload(lab, '--force');
  await shows('left', black);
  // wlroots closes a card whose lease is gone: until then the seat's state is `restart`.
  await lab.until('cage to let go', async () => (await outputs('left')).length === 0);
  assert.is(await inside('left', 'systemctl is-active kiosk'), 'active');
  assert.is(await colourOf('right'), colours.right);
  await give('left', true, true);
  await reload(lab, '--force');
  await lab.until('it', async () => (await outputs('left')).some(({ state }) => state === 'waiting'));
  await inside('left', 'systemctl restart kiosk');
  await shows('left', painted, true);
  assert.equal((await outputs('left'))[0]?.sharedWith, []);
  await inside('left', 'systemctl stop kiosk');
  await shows('left', black, true);
  await lab.until('it to be free', async () => (await outputs('left'))[0]?.state === 'waiting');
});

for (const { title, run } of scenario(lab)) test(`the whole text: ${title}`, run);
for (const { title, run } of compositors(lab)) {
  test(`unprivileged: ${title}`, run);
}

test.after(() => lab.stop());
test.run();
