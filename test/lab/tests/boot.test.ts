// Keys of the seats from the first moment of a boot on, and the owners of the devices: with the agent, without it, and
// after it has been given up.

import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import { image } from '../driver/image.js';
import { type Place, type Seat, seats } from '../driver/lab.js';
import type { Kernel } from '../driver/machine.js';
import { preparedEngines } from '../driver/prepared.js';
import { pause } from '../driver/probes.js';
import { HOTSEAT_CLI, HOTSEAT_UNIT, policyDirectory, reload, status } from '../driver/service.js';
import { test } from '../driver/test.js';

const lab = await preparedEngines();

/** The key that is pressed again and again at each place. */
const keyOf = { left: 'l', right: 'r', host: 'h' } as const satisfies Record<Place, string>;
const keyboards: readonly Place[] = ['left', 'right', 'host'];

/**
 * In the guest: each reader of the foreground console writes down its keys, first a reader that is there before any
 * login prompt, then one in the place of each login prompt, under the same unit. Debian's keyboard set-up is one that
 * takes its time.
 */
const units: Readonly<Record<string, string>> = {
  'lab-ear.service': `[Unit]
After=hotseat-mute.service console-setup.service
Before=getty-pre.target
Wants=getty-pre.target
[Service]
Type=notify
NotifyAccess=all
ExecStart=/bin/sh -c 'exec 3</dev/tty1 && stty raw -echo <&3 && systemd-notify --ready && exec cat <&3 >>/run/heard'
`,
  'getty@.service.d/lab.conf': `[Service]
ExecStart=
ExecStart=/bin/sh -c 'stty raw -echo && echo %I >>/run/prompts && exec cat >>/run/heard'
`,
  'console-setup.service': `[Unit]
DefaultDependencies=no
After=local-fs.target
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/sh -c 'sleep 2; kbd_mode -f -u -C /dev/tty1'
`,
};
const wanted = ['lab-ear.service', 'console-setup.service'];

test.before(async () => {
  for (const place of keyboards) await lab.plug({ seat: place, driver: 'usb-kbd', id: `kbd-${place}` });
  for (const [path, text] of Object.entries(units)) await lab.putFile(`/etc/systemd/system/${path}`, text);
  const wants = '/etc/systemd/system/multi-user.target.wants';
  await lab.sh(`${wanted.map((unit) => `ln -s ../${unit} ${wants}/${unit}`).join('\n')}\nsync`);
});

/** When the first login prompt started, seconds after the kernel did: at each boot with Hotseat's units, and without. */
const prompts = { with: [] as number[], without: [] as number[] };
const muting: number[] = [];

/** Cuts the power, gives it back, and presses keys at all places until the login prompt and all the rest are there. */
async function boot(kernel?: Kernel): Promise<void> {
  let booting = true;
  let typed = 0;
  const round = async () => {
    for (const place of keyboards) {
      // The PC has no keyboard while its power is off.
      await lab.key(place, keyOf[place]).catch(() => undefined);
      typed += 1;
    }
  };
  const typing = (async () => {
    while (booting) {
      await round();
      await pause(100);
    }
  })();
  await lab.powerCut(kernel);
  await lab.until('the login prompt', async () => (await lab.sh('cat /run/prompts 2>/dev/null || true')) !== '');
  booting = false;
  await typing;
  await round();
  const stamps = await lab.sh(`systemctl show -P ExecMainStartTimestampMonotonic getty@tty1
    systemctl show -P ExecMainStartTimestampMonotonic hotseat-mute
    systemctl show -P ExecMainExitTimestampMonotonic hotseat-mute`);
  const [prompt = 0, begun = 0, done = 0] = stamps.split(/\s+/).map((us) => Number(us) / 1e6);
  prompts[begun > 0 ? 'with' : 'without'].push(prompt);
  if (begun > 0) muting.push(done - begun);
  console.log(`${typed} keys, login prompt after ${prompt.toFixed(1)} s`);
}

/** The keys that came to a console. The terminal's own answer to systemd (its size) is no key. */
const heard = async (): Promise<string> =>
  [...new Set((await lab.sh('cat /run/heard')).replace(/[^a-z]/g, ''))].sort().join('');

/** On the host, whose the keyboards are. */
async function seatsOnHost(): Promise<Record<Place, string>> {
  const look = (port: number) =>
    lab.sh(`for node in /sys/class/input/event*; do
      case $(realpath $node) in */1-${port}.*) udevadm info -q property --property=ID_SEAT --value $node;; esac
    done`);
  const [left, right, host] = await Promise.all([look(1), look(2), look(3)]);
  return { left, right, host };
}

async function quiet(left: Seat = 'left', right: Seat = 'right'): Promise<void> {
  assert.is(await heard(), '');
  assert.equal(await seatsOnHost(), { left: `seat-${left}`, right: `seat-${right}`, host: '' });
}

async function open(): Promise<void> {
  assert.is(await heard(), 'hlr');
  assert.equal(await seatsOnHost(), { left: '', right: '', host: '' });
  assert.is(await lab.sh('udevadm info --export-db | grep -c ID_SEAT=seat- || true'), '0');
}

const file = (seat: Seat): string => `${policyDirectory}/${seat}.yaml`;

/** In the initramfs: waits for the keyboards of the seats and of the host, and keeps what udev says of them there. */
const look = `#!/bin/sh
[ "$1" = prereqs ] && exit 0
while read -r driver options; do insmod "$driver" $options; done </look/drivers
for second in 1 2 3 4 5 6 7 8 9 10; do
  set -- /sys/class/input/event*
  [ $# -ge 3 ] && break
  sleep 1
done
udevadm settle
{
  udevadm info --export-db
  [ -e /usr/lib/udev/rules.d/72-zzz-hotseat-boot.rules ] && echo copied
} >/run/in-initramfs
`;

/**
 * The files that Debian's hook for udev puts into an initramfs now, with the rules in /etc; and drivers for USB
 * keyboards. Emulated, all the other hooks take a minute and a half for what the PC's own initramfs has already.
 */
const addition = `
  export DESTDIR=/run/addition version=$(uname -r) verbose=n
  mkdir -p $DESTDIR/look
  /usr/share/initramfs-tools/hooks/udev
  cd $DESTDIR
  echo '/scripts/init-premount/look "$@"' >scripts/init-premount/ORDER
  modprobe --show-depends -a xhci_pci usbhid hid_generic evdev | awk '!seen[$0]++' | while read -r _ driver options; do
    mkdir -p .$(dirname $driver)
    xz -dc $driver >.\${driver%.xz}
    echo \${driver%.xz} $options >>look/drivers
  done
  mv lib/modules usr/lib
  find look scripts usr/lib/udev/rules.d usr/lib/modules | cpio --quiet -o -H newc | gzip -1 | base64 -w 0`;

/** The PC's own initramfs, and behind it the files that it would have if it were built now; its path here. */
async function buildInitramfs(): Promise<string> {
  await lab.putFile('/run/addition/scripts/init-premount/look', look, 0o755);
  const added = Buffer.from(await lab.sh(addition, { timeoutMs: 120_000 }), 'base64');
  const own = await readFile((await image()).initrd);
  const path = join(lab.machine.dir, 'initrd');
  // The kernel unpacks one archive after the other (init/initramfs.c); they begin at multiples of four.
  await writeFile(path, Buffer.concat([own, Buffer.alloc(4 - (own.length % 4)), added]));
  return path;
}

const unitFiles = 'hotseat.service hotseat-consoles.service hotseat-mute.service getty.target.d';

const keyboardMode = () => lab.sh('kbd_mode -C /dev/tty1');

/** Gives each seat the hub of the other one. */
async function swap(): Promise<void> {
  for (const seat of seats) {
    const text = await lab.sh(`cat ${file(seat)}`);
    await lab.putFile(
      file(seat),
      `${text.replace(/usb-0:([12])/, (_, hub: string) => `usb-0:${hub === '1' ? '2' : '1'}`)}\n`,
    );
  }
}

let initrd: string;

test('an initramfs is built while this policy is in force', async () => {
  await lab.sh('udevadm verify /etc/udev/rules.d/*.rules');
  initrd = await buildInitramfs();
});

test('the power is cut right after a policy was confirmed, and the service is masked: its seats have what is theirs', async () => {
  await swap();
  await reload(lab);
  await boot({ arguments: [`systemd.mask=${HOTSEAT_UNIT}`] });
  assert.is(await lab.sh(`systemctl is-active ${HOTSEAT_UNIT} || true`), 'inactive');
  await quiet('right', 'left');
});

test('a policy that is bad by now, and an initramfs of another one: the one that was confirmed last holds', async () => {
  await lab.putFile(file('left'), 'seat: [');
  await lab.sh('sync');
  await boot({ initrd });
  const inInitramfs = await lab.sh('cat /run/in-initramfs');
  assert.match(inInitramfs, /^N: input\/event\d[\s\S]*^copied$/m);
  assert.not.match(inInitramfs, /HOTSEAT_|ID_SEAT=/);
  await lab.until('the agent', async () => (await status(lab).catch(() => undefined)) !== undefined, 120_000);
  assert.ok((await status(lab)).policyErrors.length > 0);
  await quiet('right', 'left');
});

test('an agent that crashes at its start, until systemd gives it up: nothing is the host’s', async () => {
  // An emulated PC is too slow to crash twenty times in a minute.
  await lab.putFile('/etc/systemd/system/hotseat.service.d/lab.conf', '[Unit]\nStartLimitBurst=1\n');
  await lab.sh(`echo 'HOTSEAT_OPTIONS="--no-such-option"' > /etc/default/hotseat; sync`);
  await boot();
  await lab.until(
    'it to be given up',
    async () => (await lab.sh(`systemctl is-failed ${HOTSEAT_UNIT} || true`)) === 'failed',
  );
  await quiet('right', 'left');
  assert.not.match(await keyboardMode(), /unicode/i);
});

test('a rescue shell has a keyboard then, too', async () => {
  // In place of the shell, which would ask for root's password.
  const shell = '[Service]\nExecStartPre=\nExecStart=\nExecStart=/bin/sleep infinity\n';
  await lab.putFile('/run/systemd/system/rescue.service.d/lab.conf', shell);
  await lab.sh('systemctl daemon-reload; systemctl start --no-block rescue.service', { timeoutMs: 90_000 });
  await lab.until('the console to have its keyboard', async () => /unicode/i.test(await keyboardMode()));
  // By the same word as an emergency shell, which leaves nothing here that would answer.
  assert.match(await lab.sh('systemctl show -P Conflicts hotseat-mute'), /emergency\.service/);
});

test('with hotseat.disable everything is the host’s', async () => {
  await boot({ arguments: ['hotseat.disable'] });
  await open();
});

test('after systemctl disable everything is the host’s', async () => {
  await lab.sh(`systemctl disable ${HOTSEAT_UNIT}; sync`);
  await boot();
  await open();
});

test('after systemctl mask everything is the host’s', async () => {
  // Where a package has its units: units in /etc cannot be masked.
  await lab.sh(`cd /etc/systemd/system
    mv ${unitFiles} /usr/lib/systemd/system
    rm -r hotseat.service.d
    systemctl daemon-reload
    systemctl enable ${HOTSEAT_UNIT}
    systemctl mask ${HOTSEAT_UNIT}
    sync`);
  await boot();
  await open();
});

test('after a removal that gave nothing back everything is the host’s', async () => {
  // The program and the units are gone, and all that was made for a boot is there. A package takes more with it.
  await lab.sh(`systemctl unmask ${HOTSEAT_UNIT}
    mkdir /root/removed
    cd /usr/lib/systemd/system
    mv /usr/local/bin/hotseat ${unitFiles} /root/removed
    test -L /etc/systemd/system/multi-user.target.wants/${HOTSEAT_UNIT}
    sync`);
  await boot();
  await open();
});

test('after hotseat release everything is the host’s', async () => {
  await lab.sh('cd /root/removed; mv hotseat /usr/local/bin; mv * /usr/lib/systemd/system');
  await lab.guest([...HOTSEAT_CLI, 'release'], { timeoutMs: 90_000 });
  await lab.sh('sync');
  // An agent that comes again takes the policy again.
  await boot({ arguments: [`systemd.mask=${HOTSEAT_UNIT}`] });
  await open();
});

test('the login prompt waits for the muting alone, and that is short', () => {
  const shown = (times: readonly number[]) => times.map((time) => time.toFixed(1)).join(', ');
  const middle = (times: readonly number[]) => times.toSorted((a, b) => a - b)[Math.floor(times.length / 2)] ?? 0;
  console.log(`login prompt after ${shown(prompts.with)} s with Hotseat's units, ${shown(prompts.without)} s without them:
${(middle(prompts.with) - middle(prompts.without)).toFixed(1)} s later by their medians; muting took ${shown(muting)} s`);
  assert.equal([prompts.with.length, prompts.without.length], [3, 5]);
  // Its limit, after which the prompts come without it.
  for (const time of muting) assert.ok(time > 0 && time < 10, `${time} s`);
});

test.after(() => lab.stop());
test.run();
