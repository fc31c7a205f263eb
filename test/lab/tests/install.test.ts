// The docs followed on a PC that has never seen Hotseat, from README on, example by example; then the events that an
// admin meets with the package: mistakes, a move, a hang, an upgrade, the way out.

import { readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { execa } from 'execa';
import * as assert from 'uvu/assert';
import { followed, spansOf, textOf } from '../../readme.js';
import type { Process } from '../driver/channel.js';
import { deployContainers } from '../driver/deploy.js';
import { type Plug, type Seat, seats, startLab } from '../driver/lab.js';
import { checkout } from '../driver/paths.js';
import { agentLog, HOTSEAT_UNIT, inputs, policyDirectory, status, xinput, xorgLog } from '../driver/service.js';
import { test } from '../driver/test.js';
import { type Answer, type Around, Reader } from './reader.js';
import { alsoTyped, triedElsewhere, typedInSteps } from './typed.js';

/** Builds the package as `npm run deb` does; its path in this checkout. */
async function built(...options: string[]): Promise<string> {
  const command = [join(checkout, 'dist/rules/package/deb.js'), ...options];
  const { stdout } = await execa('node', command, { cwd: checkout, timeout: 300_000, stderr: 'inherit' });
  return join(checkout, stdout.trim().split('\n').at(-1) ?? '');
}

const { version } = JSON.parse(await readFile(join(checkout, 'package.json'), 'utf8')) as { version: string };
const both = async () => [await built(), await built('--version', `${version}-2`)] as const;
const [lab, [first, second]] = await Promise.all([startLab(), both()]);

const hotseat = (...words: string[]) => lab.guest(['hotseat', ...words], { allowFailure: true, timeoutMs: 90_000 });
const exists = async (path: string) => (await lab.guest(['test', '-e', path], { allowFailure: true })).code === 0;
const mainPid = () => lab.sh(`systemctl show -P MainPID ${HOTSEAT_UNIT}`);
const keyboardMode = () => lab.sh('kbd_mode -C /dev/tty1');

/**
 * The Node of Debian, as a PC has it that follows the pages, or the lab's, which starts 0.9 s sooner. Debian's follows the
 * README, and runs the agent up to its first restart and the hang after that.
 */
const nodeIs = (which: 'debian' | 'quick'): Promise<string> =>
  lab.sh(`cd /opt/lab
    [ -e debian-node ] || exit 0
    [ -e quick-node ] || ln /usr/bin/node quick-node
    ln -f ${which}-node new-node
    mv new-node /usr/bin/node`);

async function typesInto(seat: Seat, head: Seat, text: string): Promise<void> {
  await lab.type(head, `${text}\n`);
  await lab.until(`"${text}" at ${seat}`, async () => (await lab.typed(seat)).includes(text));
}

const keyboard: Plug = { seat: 'left', driver: 'usb-kbd', id: 'kbd', port: 1 };
/** The host's own. */
const admins: Plug = { seat: 'host', driver: 'usb-kbd', id: 'admins', display: 'left' };
const hers: Plug = { seat: 'host', driver: 'usb-kbd', id: 'hers', serial: 'HERS' };

async function keyboardIsThere(wanted: boolean): Promise<void> {
  const look = async () => (await lab.inContainer('left', ['ls', '/dev/input'])).stdout.includes('event2');
  await lab.until(
    `the keyboard, ${wanted ? 'in' : 'no longer in'} the container`,
    async () => (await look()) === wanted,
  );
}

async function isInstalled(): Promise<void> {
  assert.is(await lab.sh(`systemctl is-active ${HOTSEAT_UNIT}`), 'active');
  assert.is(await lab.sh(`systemctl is-enabled ${HOTSEAT_UNIT}`), 'enabled');
  assert.match(await lab.sh('getent group hotseat-admin'), /^hotseat-admin:x:\d{1,3}:$/, 'a group of the system');
  assert.equal((await status(lab)).seats, []);
  assert.match(await lab.sh(`systemctl show -P StatusText ${HOTSEAT_UNIT}`), /^policy [0-9a-f]{12}: no seats$/);
  assert.match(await keyboardMode(), /unicode/i, 'without seats no console is muted');
  for (const path of ['/usr/share/man/man8/hotseat.8.gz', '/usr/share/bash-completion/completions/hotseat']) {
    assert.is(await lab.sh(`dpkg -L hotseat | grep -Fx ${path}`), path);
  }
}

/** A muting of the consoles that hangs delays a login prompt by no more than its limit. */
async function mutingHangs(): Promise<void> {
  await lab.putFile(
    '/run/systemd/system/hotseat-mute.service.d/hang.conf',
    '[Service]\nExecStart=\nExecStart=/bin/sleep infinity\n',
  );
  await lab.sh('systemctl daemon-reload');
  // It comes after the muting, as a login prompt does, also when that failed.
  const prompt = ['--property=Wants=hotseat-mute.service', '--property=After=hotseat-mute.service', 'true'];
  await lab.guest(['systemd-run', '--quiet', '--wait', ...prompt], { timeoutMs: 60_000 });
  assert.is(await lab.sh('systemctl show -P Result hotseat-mute'), 'timeout');
  await lab.sh('rm -r /run/systemd/system/hotseat-mute.service.d; systemctl reset-failed hotseat-mute');
}

/** The doctor has looked into the containers: it names their rights, and no fault. */
async function isHealthy({ said, code }: Answer): Promise<void> {
  for (const seat of seats) {
    assert.match(said, new RegExp(`^ok +seat ${seat}: lxc container ${seat} is ready: its init is systemd$`, 'm'));
    // Debian's own profile for LXC lets bpf(2) through, and the lab's containers are privileged.
    assert.match(said, new RegExp(`^warning +seat ${seat}: root of its container is root of the host`, 'm'));
  }
  assert.not.match(said, /grafted live|^problem/m);
  assert.is(code, 0);
  // README says with which versions of the engines it was seen: those of this PC.
  const versions = [...(followed[0]?.text ?? '').matchAll(/(LXC|Incus|Podman|Docker|systemd-nspawn) (\d+(?:\.\d+)?)/g)];
  assert.is(versions.length, 5);
  for (const [, name = '', version = ''] of versions) {
    const engine = name.toLowerCase().replace('systemd-', '');
    assert.match(said, new RegExp(`^ok +engines: ${engine}: .*\\b${version.replace('.', '\\.')}\\b`, 'm'));
  }
  await nodeIs('quick');
}

async function pressKey(running: Process): Promise<void> {
  await lab.until('it to listen', async () => running.stdout.includes('press a key'));
  await lab.type('host', 'a');
}

const around: Readonly<Record<string, Around>> = {
  [`apt install ./dist/hotseat_${version}-1_amd64.deb`]: { after: isInstalled },
  'hotseat seats': {
    before: async () => {
      for (const seat of seats) await lab.containerUp(seat);
      await lab.plug(keyboard);
      await keyboardIsThere(true);
      for (const own of [admins, hers]) {
        await lab.plug(own);
        await lab.settled();
      }
    },
  },
  'hotseat doctor': { after: isHealthy },
  'hotseat identify left': { meanwhile: pressKey },
  'hotseat identify left --by serial --write': { meanwhile: pressKey },
  'hotseat watch': {
    meanwhile: async () => {
      const listens = async () => (await lab.sh('ss -xH state connected src /run/hotseat/root/control.sock')) !== '';
      await lab.until('it to listen', listens);
      await lab.unplug(keyboard.id);
      await keyboardIsThere(false);
      await lab.plug(keyboard);
      await keyboardIsThere(true);
      await lab.settled();
      await lab.sh("pkill -INT -f 'main.js watch'");
    },
  },
};
const reader = new Reader(lab, followed, around);
const type = async (command: string) => (await reader.type(command)).said;

test.before(async () => {
  await nodeIs('debian');
  await deployContainers(lab);
  // As a container is that knows nothing of Hotseat.
  for (const seat of seats) {
    await lab.sh(
      `sed -i '/hotseat.conf\\|card.conf/d' /var/lib/lxc/${seat}/config; rm /var/lib/lxc/${seat}/hotseat.conf`,
    );
  }
  for (const path of [first, second]) await lab.putFile(`/root/dist/${basename(path)}`, await readFile(path));
  assert.match(await keyboardMode(), /unicode/i);
});

reader.register();

test('what the text names is there as well', async () => {
  const said: Record<string, string> = {};
  for (const command of alsoTyped) said[command] = await type(command);
  assert.is(said['hotseat fmt --check'], '', 'all files are in one form by then');
  assert.match(said['loginctl seat-status seat-left'] ?? '', /USB Keyboard/);
  for (const path of spansOf(textOf(followed)).filter((span) =>
    /^\/(etc\/(default|hotseat)|var|usr|run)\b/.test(span),
  )) {
    await lab.sh(`test -e ${path}`);
  }
});

test('systemd has nothing against the units, and they are confined', async () => {
  const units = ['', '-consoles', '-holder', '-mute'].map((name) => `hotseat${name}.service`);
  const verified = await lab.guest(['systemd-analyze', 'verify', '--man=no', ...units], { timeoutMs: 90_000 });
  assert.is(`${verified.stdout}${verified.stderr}`, '');
  const { stdout } = await lab.guest(['systemd-analyze', 'security', '--no-pager', ...units], { timeoutMs: 90_000 });
  const verdicts = stdout.split('\n').filter((line) => line.includes('Overall exposure level'));
  assert.is(verdicts.length, units.length);
  console.log(verdicts.join('\n'));
  const pid = await mainPid();
  const set = /^CapBnd:\s*(\w+)$/m.exec(await lab.sh(`cat /proc/${pid}/status`))?.[1] ?? '';
  const wanted = await readFile(join(checkout, 'rules/hotseat.service'), 'utf8');
  const count = [...wanted.matchAll(/^CapabilityBoundingSet=(.*)$/gm)].flatMap(([, names]) => names?.split(' ')).length;
  assert.is([...BigInt(`0x${set}`).toString(2)].filter((bit) => bit === '1').length, count);
  assert.match(await lab.sh(`cat /proc/${pid}/status`), /^NoNewPrivs:\s*1$[\s\S]*^Seccomp:\s*2$/m);
  const [ours, its] = (await lab.sh(`readlink /proc/1/ns/mnt /proc/${pid}/ns/mnt`)).split('\n');
  assert.is(its, ours, 'what it mounts is seen by the host');
});

test('a keyboard that is plugged types at its seat, and the host’s consoles hear nothing of it', async () => {
  await lab.unplug(admins.id, hers.id);
  // The trials of the pages are not the policy of the rest.
  await lab.sh(`cd ${policyDirectory} && rm -rf tests && git checkout -q . && git status --short`);
  await lab.startScreens();
  await inputs(lab, 'left', 1);
  await typesInto('left', 'left', 'typed after one commit');
  assert.not.match(await keyboardMode(), /unicode/i);
});

test('a commit with a mistake is refused before it is one', async () => {
  const before = await lab.sh(`git -C ${policyDirectory} rev-parse main`);
  const wrong = (await lab.sh(`cat ${policyDirectory}/left.yaml`)).replace('match:', 'mtach:');
  await lab.putFile(`${policyDirectory}/left.yaml`, wrong);
  const git = ['git', '-C', policyDirectory];
  const refused = await lab.guest([...git, 'commit', '-am', 'wrong'], { allowFailure: true, timeoutMs: 90_000 });
  assert.is(refused.code, 1);
  assert.match(refused.stderr, /left\.yaml:\d+:\d+: unknown key "mtach": did you mean "match"\?/);
  assert.is(await lab.sh(`git -C ${policyDirectory} rev-parse main`), before);
  // With --no-verify, the agent gives the same answer, and the last good policy stays.
  const taken = await lab.guest([...git, 'commit', '--no-verify', '-am', 'wrong'], { timeoutMs: 90_000 });
  assert.match(`${taken.stdout}${taken.stderr}`, /left\.yaml:\d+:\d+: unknown key "mtach"/);
  assert.is((await status(lab)).revision, before);
  assert.ok((await status(lab)).policyErrors.length > 0);
  await typesInto('left', 'left', 'still typing');
  await lab.guest([...git, 'reset', '-q', '--hard', before]);
  assert.is((await hotseat('reload')).code, 0);
  assert.equal((await status(lab)).policyErrors, []);
});

test('under the confined unit a device moves to another seat and back', async () => {
  const keyboardTo = (seat: Seat) =>
    lab.sh(
      `cd ${policyDirectory} && for s in left right; do git show HEAD:$s.yaml > $s.yaml; done
      sed -i 's/usb-0:[12]"/usb-0:${seat === 'right' ? '2' : '1'}"/' left.yaml
      sed -i 's/usb-0:[12]"/usb-0:${seat === 'right' ? '1' : '2'}"/' right.yaml
      git commit -qam 'the hub to ${seat}' 2>&1`,
      { timeoutMs: 90_000 },
    );
  await keyboardTo('right');
  await inputs(lab, 'right', 1);
  await inputs(lab, 'left', 0);
  await typesInto('right', 'left', 'moved to the right');
  await keyboardTo('left');
  await inputs(lab, 'left', 1);
  await inputs(lab, 'right', 0);
});

test('the journal knows how bad each line is', async () => {
  const levels = async (priority: string) =>
    (await lab.sh(`journalctl -u ${HOTSEAT_UNIT} -b -o cat --no-pager -p ${priority}`))
      .split('\n')
      .flatMap((line) => (line.startsWith('{') ? [(JSON.parse(line) as { level: number }).level] : []));
  assert.ok((await levels('info')).includes(30));
  assert.ok((await levels('err')).includes(50), 'the policy that was refused');
  assert.equal(
    (await levels('warning')).filter((level) => level < 40),
    [],
  );
});

test('a restart takes nothing away; an agent that hangs is killed and started again, and no key is lost', async () => {
  const before = await xorgLog(lab, 'left');
  await nodeIs('debian');
  await lab.sh(`mkdir -p /run/systemd/system/hotseat.service.d
    printf '[Service]\\nWatchdogSec=15\\n' > /run/systemd/system/hotseat.service.d/soon.conf
    systemctl daemon-reload`);
  await lab.guest(['systemctl', 'restart', HOTSEAT_UNIT], { timeoutMs: 100_000 });
  await typesInto('left', 'left', 'after a restart');
  assert.equal(await xorgLog(lab, 'left'), before, 'Xorg has noticed nothing');
  const pid = await mainPid();
  // Longer than systemd waits: it is told in time that the agent is alive.
  await Promise.all([lab.sh('sleep 18'), mutingHangs()]);
  assert.is(await mainPid(), pid);
  await lab.sh(`kill -STOP ${pid}`);
  await typesInto('left', 'left', 'while the agent hangs');
  await lab.until(
    'another agent',
    async () => {
      const now = await mainPid();
      return now !== pid && now !== '0' && (await status(lab).catch(() => undefined)) !== undefined;
    },
    180_000,
  );
  await typesInto('left', 'left', 'after the hang');
  assert.equal(await xorgLog(lab, 'left'), before);
  assert.match(await lab.sh(`journalctl -u ${HOTSEAT_UNIT} -b -o cat --no-pager`), /Watchdog timeout/);
  await lab.sh('rm -r /run/systemd/system/hotseat.service.d; systemctl daemon-reload');
  await nodeIs('quick');
});

test('an upgrade takes nothing away and tells nobody anything again', async () => {
  const before = { log: await xorgLog(lab, 'left'), pid: await mainPid(), devices: await xinput(lab, 'left') };
  const since = (await agentLog(lab)).length;
  console.log((await type(typedInSteps.upgrade(`/root/dist/${basename(second)}`))).trim().split('\n').at(-1));
  assert.is(await lab.sh('dpkg-query -W hotseat | cut -f 2'), `${version}-2`);
  await lab.until('the new agent', async () => (await status(lab).catch(() => undefined)) !== undefined);
  assert.is.not(await mainPid(), before.pid);
  await typesInto('left', 'left', 'after an upgrade');
  assert.equal(await xorgLog(lab, 'left'), before.log);
  assert.equal(await xinput(lab, 'left'), before.devices);
  const bound = (await agentLog(lab)).slice(since).filter(({ msg }) => msg === 'bound');
  assert.equal(bound, []);
  assert.not.match(await keyboardMode(), /unicode/i);
});

test('a stop gives the consoles back, and the agent runs by hand as well', async () => {
  await type(typedInSteps.stop);
  // The unit that gives them back starts a program for it.
  await lab.until('the consoles to have their keyboards', async () => /unicode/i.test(await keyboardMode()));
  const { said } = await reader.type(typedInSteps.byHand, async (running) => {
    await lab.until('it to serve', async () => running.stdout.includes('"msg":"ready"'), 120_000);
    await lab.sh("pkill -f 'main.js run'");
  });
  assert.match(said, /"seats":\["left","right"\]/);
});

test('with hotseat.disable on the kernel’s command line nothing starts, and the doctor says why', async () => {
  await type(typedInSteps.consoles);
  await lab.sh(`{ tr -d '\\n' < /proc/cmdline; echo ' hotseat.disable'; } > /run/cmdline
    mount --bind /run/cmdline /proc/cmdline`);
  try {
    await lab.guest(['systemctl', 'start', HOTSEAT_UNIT], { timeoutMs: 100_000 });
    assert.is(await lab.sh(`systemctl is-active ${HOTSEAT_UNIT} || true`), 'inactive');
    assert.match(await keyboardMode(), /unicode/i);
    const { code, stdout } = await hotseat('doctor');
    assert.is(code, 1);
    assert.match(stdout, /^problem +kernel: hotseat\.disable is on the command line/m);
  } finally {
    await lab.sh('umount /proc/cmdline');
  }
  await lab.guest(['systemctl', 'start', HOTSEAT_UNIT], { timeoutMs: 100_000 });
  await typesInto('left', 'left', 'enabled again');
});

test('removed: the devices are the host’s, the consoles have their keyboards, nothing of it is left in the kernel', async () => {
  await lab.inContainer('right', ['systemctl', 'stop', 'term', 'xorg']);
  assert.equal(await xinput(lab, 'left'), ['QEMU QEMU USB Keyboard']);
  const said = await type(typedInSteps.remove);
  // A terminal of apt's has carriage returns.
  const left = said.split(/\r?\n/).filter((line) => line.startsWith('hotseat release: '));
  // An Xorg that still draws keeps its card until it ends, and that alone is left.
  assert.is(left.length, 1, said);
  console.log(left.join('\n'));
  assert.match(
    left[0] ?? '',
    /^hotseat release: seats: left: \/dev\/dri\/\w+ and \/dev\/dri\/\w+ cannot leave: held by Xorg \(pid \d+\): stop it, or container left, which is no longer this seat's$/,
  );
  assert.equal(await xinput(lab, 'left'), [], 'an Xorg that runs on is told that they went');
  assert.match(await keyboardMode(), /unicode/i);
  assert.is.not(await lab.sh('cat /proc/sys/kernel/sysrq'), '0');
  assert.is(await lab.sh('cat /sys/fs/cgroup/lxc.payload.left/pids.max'), 'max', 'the bound of its seat is gone');
  for (const path of [
    '/run/udev/rules.d/72-zz-hotseat.rules',
    '/etc/udev/rules.d/72-zzz-hotseat-boot.rules',
    '/etc/systemd/system/getty@.service.d/hotseat.conf',
    '/run/hotseat',
    '/usr/bin/hotseat',
    '/usr/lib/hotseat',
  ]) {
    assert.not.ok(await exists(path), path);
  }
  // Programs that nothing holds any more are freed a moment later.
  await lab.until(
    'its programs to be gone',
    async () => (await lab.sh('bpftool prog show | grep hotseat || true')) === '',
  );
  assert.is(await lab.sh('udevadm info --export-db | grep -c "ID_SEAT=seat-" || true'), '0');
  assert.not.match(
    await lab.sh('systemctl list-units --plain --no-legend'),
    /^hotseat(-consoles|-holder|-mute)?\.service/m,
  );
  assert.ok(await exists(`${policyDirectory}/left.yaml`), 'the policy stays');
  assert.ok(await exists('/etc/default/hotseat'));
});

test('purged: nothing is left but the admin’s policy, in a backup', async () => {
  await type(typedInSteps.purge);
  for (const path of ['/etc/hotseat', '/etc/default/hotseat', '/var/lib/hotseat'])
    assert.not.ok(await exists(path), path);
  const kept = await lab.sh('tar -tzf /var/backups/hotseat-policies-*.tar.gz');
  assert.match(kept, /^policies\/left\.yaml$/m);
  assert.match(kept, /^policies\/\.git\/HEAD$/m);
  // As Debian's packages do: a number that files may still have is nobody else's.
  assert.ok(await lab.sh('getent group hotseat-admin'));
});

test('every command and step of this test is one of the pages’', () => {
  reader.missedNothing(triedElsewhere);
});

test.after(() => lab.stop());
test.run();
