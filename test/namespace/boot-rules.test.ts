import { execFileSync, spawnSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { basename, dirname, join, relative, resolve } from 'node:path';
import { pino } from 'pino';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { Policy } from '../../agent/core/policy.js';
import { AtBoot, bootFiles, bootRulesFile, enabledLink, forgetAtBoot, promptFiles } from '../../agent/host/at-boot.js';
import { rulesFile } from '../../agent/host/udev-rules.js';
import { parseSeat } from '../../agent/policy/parse.js';
import { compileRules } from '../../agent/policy/udev-rules.js';
import { unshared } from './unshared.js';

// The real rules engine (udevadm test) over a sysfs of this file's own, with a /run and an /etc of its own for udev and systemd.
unshared(import.meta.url);

const units = '/etc/systemd/system';
const unit = `${units}/hotseat.service`;
const elsewhere = '/run/installed/hotseat.service';
const commandLine = '/run/cmdline';
const packaging = resolve(import.meta.dirname, '../../../rules/package');
const log = pino({ level: 'silent' });

function policy(port: number, rest: Partial<Policy> = {}): Policy {
  const text = `seat: left
container: { engine: lxc, name: left }
devices:
  - label: hub
    match: { port: "pci-0000:00:14.0-usb-0:${port}" }
  - label: screen
    match: { subsystem: drm, ID_PATH: "pci-0000:00:03.0" }
`;
  const parsed = parseSeat('left.yaml', text);
  if (!('seat' in parsed)) throw new Error('the policy of this test is wrong');
  return { revision: 'x', console: 'mute', seats: [parsed.seat], ...rest };
}

/** A device of sysfs: its `uevent`, its attributes, its subsystem. */
function device(
  path: string,
  subsystem: string,
  uevent: Record<string, string>,
  attributes: Record<string, string> = {},
) {
  const at = `/sys/devices/pci0000:00/${path}`;
  mkdirSync(at, { recursive: true });
  const lines = Object.entries(uevent).map(([key, value]) => `${key}=${value}\n`);
  writeFileSync(join(at, 'uevent'), lines.join(''));
  for (const [name, value] of Object.entries(attributes)) writeFileSync(join(at, name), `${value}\n`);
  const home = /^(input|drm)$/.test(subsystem) ? `/sys/class/${subsystem}` : `/sys/bus/${subsystem}/devices`;
  mkdirSync(home, { recursive: true });
  symlinkSync(relative(at, home.replace(/\/devices$/, '')), join(at, 'subsystem'));
  symlinkSync(relative(home, at), join(home, basename(at)));
}

const xhci = '0000:00:14.0';
const cards: readonly string[] = ['0000:00:02.0', '0000:00:03.0'];
const card = (slot: string): string => `${slot}/drm/card${cards.indexOf(slot)}`;
const input = (port: number): string => `${xhci}/usb1/1-${port}/1-${port}:1.0/input/input${port}`;

function keyboard(port: number): void {
  const usb = `${xhci}/usb1/1-${port}`;
  device(usb, 'usb', { DEVTYPE: 'usb_device', BUSNUM: '001', DEVNUM: `00${port}` }, { bDeviceClass: '00' });
  device(`${usb}/1-${port}:1.0`, 'usb', { DEVTYPE: 'usb_interface' }, { bInterfaceNumber: '00' });
  device(input(port), 'input', { NAME: '"Keys"', EV: '120013' }, { name: 'Keys' });
  device(`${input(port)}/event${port}`, 'input', { MAJOR: '13', MINOR: `${64 + port}`, DEVNAME: `input/event${port}` });
}

/** udev's properties of the keyboard at a port, or of another device, as it appears. */
const said = (port: number): Record<string, string> => saidOf(input(port));

function saidOf(path: string): Record<string, string> {
  const { stdout, stderr, status } = spawnSync('udevadm', ['test', '--action=add', `/sys/devices/pci0000:00/${path}`], {
    encoding: 'utf8',
    env: {
      ...process.env,
      SYSTEMD_DEVICE_VERIFY_SYSFS: '0',
      SYSTEMD_PROC_CMDLINE: readFileSync(commandLine, 'utf8'),
    },
  });
  assert.is(status, 0, stderr);
  assert.not.match(stderr, /hotseat\S*\.rules:\d+ (?!Importing|RUN 'uaccess'$)/m);
  const lines = stdout.split('\n').map((line) => /^(?:E: )?([A-Za-z_.]+)=(.*)$/.exec(line.trim()));
  return Object.fromEntries(lines.flatMap((match) => (match === null ? [] : [[match[1] ?? '', match[2] ?? '']])));
}

/** Whose udev says that the keyboards at the ports 2 and 3 are. */
const seats = () => [2, 3].map((port) => said(port)['ID_SEAT'] ?? 'seat0');

test.before(() => {
  for (const place of ['/sys', '/run', units, dirname(bootRulesFile)]) {
    mkdirSync(place, { recursive: true });
    execFileSync('mount', ['-t', 'tmpfs', 'tmpfs', place]);
  }
  mkdirSync('/sys/devices/pci0000:00', { recursive: true });
  writeFileSync('/sys/devices/pci0000:00/uevent', '');
  device(xhci, 'pci', { PCI_SLOT_NAME: xhci });
  device(`${xhci}/usb1`, 'usb', { DEVTYPE: 'usb_device' }, { bDeviceClass: '09' });
  for (const port of [2, 3]) keyboard(port);
  for (const slot of cards) {
    device(slot, 'pci', { PCI_SLOT_NAME: slot });
    device(card(slot), 'drm', { DEVTYPE: 'drm_minor', MAJOR: '226', MINOR: card(slot).slice(-1), DEVNAME: 'dri/x' });
  }
});
/** As after `apt install` and a policy that gives port 2 to a seat. */
test.before.each(() => {
  for (const path of [unit, enabledLink, rulesFile]) rmSync(path, { force: true });
  for (const path of [elsewhere, enabledLink, rulesFile]) mkdirSync(dirname(path), { recursive: true });
  writeFileSync(elsewhere, '[Service]\n');
  symlinkSync(elsewhere, enabledLink);
  writeFileSync(commandLine, 'root=/dev/vda quiet');
  forgetAtBoot();
  new AtBoot(log).keep(policy(2));
});

test('before the agent runs a device is its seat’s, and what nobody wants is the host’s', () => {
  assert.equal(seats(), ['seat-left', 'seat0']);
  assert.is(said(2)['HOTSEAT_SEAT'], 'seat-left');
});

test('where the agent has said whose a device is, the installed rule says nothing', () => {
  writeFileSync(rulesFile, compileRules(policy(3)));
  assert.equal(seats(), ['seat0', 'seat-left']);
  writeFileSync(rulesFile, compileRules({ ...policy(3), seats: [] }));
  assert.equal(seats(), ['seat0', 'seat0']);
});

test('a file of the agent’s that udevd has not read yet takes no device from its seat', () => {
  // As an older udevd sees it: the file is there, its rules are not.
  writeFileSync(rulesFile, '');
  assert.equal(seats(), ['seat-left', 'seat0']);
});

test('where the host has a desktop of its own, logind learns of no seat where a display manager would start', () => {
  const looked = () => cards.map((slot) => saidOf(card(slot)));
  const masters = () => looked().map(({ CURRENT_TAGS = '' }) => CURRENT_TAGS.includes(':master-of-seat:'));
  assert.equal(
    looked().map(({ ID_SEAT = 'seat0' }) => ID_SEAT),
    ['seat0', 'seat-left'],
  );
  assert.equal(masters(), [true, true]);
  const link = `${units}/display-manager.service`;
  symlinkSync('/run/installed/hotseat.service', link);
  assert.equal(masters(), [true, false]);
  writeFileSync(rulesFile, compileRules(policy(2)));
  assert.equal(masters(), [true, false]);
  forgetAtBoot();
  rmSync(rulesFile);
  assert.equal(masters(), [true, true]);
  rmSync(link);
});

test('what the installed rule has said does not become what the admin says', () => {
  const before = said(2);
  assert.is(before['HOTSEAT_ADMIN_SEAT'], undefined);
  mkdirSync('/run/udev/data', { recursive: true });
  // The database after a boot: the hub and the keyboard's interface have been given to the seat.
  for (const name of ['+usb:1-2', '+usb:1-2:1.0']) {
    writeFileSync(`/run/udev/data/${name}`, 'I:1\nE:ID_SEAT=seat-left\nE:HOTSEAT_SEAT=seat-left\nV:1\n');
  }
  writeFileSync(rulesFile, compileRules(policy(3)));
  assert.is(said(2)['ID_SEAT'], 'seat0');
  assert.is(said(2)['HOTSEAT_ADMIN_SEAT'], undefined);
  rmSync('/run/udev/data', { recursive: true });
});

const given: Readonly<Record<string, () => void>> = {
  'systemctl disable': () => rmSync(enabledLink),
  'systemctl mask': () => symlinkSync('/dev/null', unit),
  'the package removed, its link left': () => rmSync(elsewhere),
  'hotseat.disable': () => writeFileSync(commandLine, 'root=/dev/vda hotseat.disable quiet'),
  'hotseat.disable=1': () => writeFileSync(commandLine, 'hotseat.disable=1'),
  'hotseat release': forgetAtBoot,
  'a policy without seats': () => new AtBoot(log).keep({ ...policy(2), seats: [] }),
};
for (const [name, act] of Object.entries(given)) {
  test(`${name}: every keyboard is the host’s`, () => {
    assert.is(seats()[0], 'seat-left');
    act();
    assert.equal(seats(), ['seat0', 'seat0']);
    assert.is(said(2)['hotseat.disable'], undefined);
  });
}

test('apt remove, and the release does not work: the package takes the files of a boot with it', () => {
  const run = (script: string) =>
    spawnSync('sh', [join(packaging, script), 'remove'], { encoding: 'utf8', env: { PATH: '/usr/bin:/bin' } });
  const before = run('prerm');
  assert.is(before.status, 0, 'no reason to keep the package');
  assert.match(before.stderr, /^hotseat: not everything could be given back/m);
  assert.ok(existsSync(bootRulesFile));
  assert.is(run('postrm').status, 0);
  assert.equal(
    [bootRulesFile, ...promptFiles].filter((file) => existsSync(file)),
    [],
  );
  assert.equal(seats(), ['seat0', 'seat0']);
});

test('a unit that the admin has changed, or a checkout has installed, is no masked one', () => {
  writeFileSync(unit, '[Service]\n', { mode: 0o644 });
  assert.is(seats()[0], 'seat-left');
});

test('a word that only begins like the one that disables is another word', () => {
  writeFileSync(commandLine, 'hotseat.disabled nohotseat.disable');
  assert.is(seats()[0], 'seat-left');
});

test('in an initramfs, which has the rules of /etc and no units, the rule says nothing', () => {
  const kept = readFileSync(bootRulesFile, 'utf8');
  execFileSync('mount', ['-t', 'tmpfs', 'tmpfs', units]);
  writeFileSync(`/run/udev/rules.d/${basename(bootRulesFile)}`, kept);
  assert.equal(seats(), ['seat0', 'seat0']);
  rmSync(`/run/udev/rules.d/${basename(bootRulesFile)}`);
  execFileSync('umount', [units]);
});

test('the files are whole, readable for everybody, and written when they change', () => {
  const umask = process.umask(0o077);
  try {
    forgetAtBoot();
    new AtBoot(log).keep(policy(2));
    for (const [file, text] of bootFiles(policy(2))) {
      assert.is(readFileSync(file, 'utf8'), text);
      assert.is(statSync(file).mode & 0o777, 0o644, file);
      assert.is(statSync(dirname(file)).mode & 0o005, 0o005, dirname(file));
      assert.equal(
        readdirSync(dirname(file)).filter((name) => name.endsWith('.new')),
        [],
      );
    }
    const before = statSync(bootRulesFile).ino;
    new AtBoot(log).keep(policy(2));
    assert.is(statSync(bootRulesFile).ino, before, 'nothing is written twice');
    new AtBoot(log).keep(policy(3));
    assert.is.not(statSync(bootRulesFile).ino, before);
  } finally {
    process.umask(umask);
  }
});

test('login prompts keep their keyboards where the policy leaves the consoles open, or has no seat', () => {
  const there = () => promptFiles.map((file) => existsSync(file));
  assert.equal(there(), [true, true]);
  new AtBoot(log).keep(policy(2, { console: 'open' }));
  assert.equal(there(), [false, false]);
  assert.ok(existsSync(bootRulesFile));
  assert.not.ok(existsSync(dirname(promptFiles[0] ?? '')), 'the directory was ours');
});

test('what cannot be written ends nothing', () => {
  execFileSync('mount', ['-o', 'remount,ro', dirname(bootRulesFile)]);
  new AtBoot(log).keep(policy(3));
  execFileSync('mount', ['-o', 'remount,rw', dirname(bootRulesFile)]);
  assert.match(readFileSync(bootRulesFile, 'utf8'), /usb-0:2/);
});

test.run();
