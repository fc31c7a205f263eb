import { type ChildProcess, spawn } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execa, execaSync } from 'execa';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { loanFile } from '../../agent/active/loan-book.js';
import { trailFile } from '../../agent/audit/trail.js';
import type { TrailRecord } from '../../agent/audit/trail-reader.js';
import type { Attached, Response, Status } from '../../agent/control/messages.js';
import { rulesFile } from '../../agent/host/udev-rules.js';
import { controlSocket, seatRoot } from '../../agent/seat/layout.js';
import { inOwnGroup } from './own-group.js';
import { unshared } from './unshared.js';

// The real agent, with a keyboard that sysfs and udev's database of this file's own tell of, a /run, a /var/lib, an /etc and a
// group file of its own, in a cgroup namespace whose root is a group of this test: nothing of the machine is in reach.
inOwnGroup('verbs');
unshared(import.meta.url, '--net', '--cgroup');

const main = join(import.meta.dirname, '../../hotseat/main.js');
const scratch = mkdtempSync(join(tmpdir(), 'hotseat-agent-verbs-'));
const admins = 4711;
const head = '/sys/devices/hotseat/1000/input/input1000';
const path = 'pci-0000:00:05.0-usb-0:1.1:1.0';

function write(file: string, text: string, mode = 0o644): void {
  mkdirSync(join(file, '..'), { recursive: true });
  writeFileSync(file, text, { mode });
}

/** An input as the kernel and udevd leave it; `device`: its parent. */
function plugged(number: number, name: string, kind: string, port: string, device = number): void {
  const input = `/sys/devices/hotseat/${device}/input/input${number}`;
  const said = `I:1\nE:ID_INPUT=1\nE:ID_INPUT_${kind}=1\nE:ID_PATH=${port}\nE:ID_SERIAL=Maker_Keys_1\nV:1\n`;
  write(`${input}/uevent`, `NAME="${name}"\n`);
  write(`${input}/name`, `${name}\n`);
  write(`${input}/event${number}/uevent`, `MAJOR=13\nMINOR=${number}\nDEVNAME=input/event${number}\n`);
  write(`${input}/event${number}/dev`, `13:${number}\n`);
  write(`/run/udev/data/+input:input${number}`, said);
  write(`/run/udev/data/c13:${number}`, said);
  symlinkSync(input, `/sys/class/input/input${number}`);
  symlinkSync(`${input}/event${number}`, `/sys/class/input/event${number}`);
}

function groups(...names: string[]): void {
  writeFileSync('/etc/group', ['root:x:0:', ...names].map((line) => `${line}\n`).join(''));
}

test.before(async () => {
  for (const place of ['/run', '/var/lib', '/sys/devices', '/sys/class', '/sys/fs/bpf', '/etc/udev', '/etc/systemd']) {
    if (existsSync(place)) execaSync('mount', ['-t', 'tmpfs', 'tmpfs', place]);
  }
  execaSync('mount', ['-t', 'cgroup2', 'cgroup2', '/sys/fs/cgroup']);
  write(join(scratch, 'group'), '');
  execaSync('mount', ['--bind', join(scratch, 'group'), '/etc/group']);
  groups();
  write('/run/udev/control', '');
  mkdirSync('/sys/class/input', { recursive: true });
  plugged(1000, 'Test Keys', 'KEYBOARD', path);
  plugged(1001, 'Test Mouse', 'MOUSE', 'pci-0000:00:05.0-usb-0:9:1.0');
  plugged(1002, 'Test Mouse Consumer Control', 'KEY', 'pci-0000:00:05.0-usb-0:9:1.1', 1001);
  const seat = (name: string, match: string) =>
    `seat: ${name}\ncontainer: { engine: lxc, name: ${name} }\ndevices:\n  - label: keys of ${name}\n    match: { ${match} }\n`;
  write(join(scratch, 'policies/left.yaml'), seat('left', `port: "${path}"`));
  write(join(scratch, 'policies/right.yaml'), seat('right', 'subsystem: sound'));
  write(join(scratch, 'policies/host.yaml'), 'console: open\n');
  write(join(scratch, 'bin/udevadm'), '#!/bin/sh\n', 0o755);
  await start();
});
test.after(async () => {
  await stop('SIGTERM');
  rmSync(scratch, { recursive: true });
});

let agent: ChildProcess | undefined;

async function start(): Promise<void> {
  const env = { ...process.env, PATH: `${scratch}/bin:${process.env['PATH']}` };
  const child = spawn(
    process.execPath,
    ['--enable-source-maps', main, 'run', '--policies', join(scratch, 'policies')],
    {
      env,
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  );
  agent = child;
  let said = '';
  await new Promise<void>((resolve, reject) => {
    child.stdout.on('data', (data: Buffer) => {
      said += data.toString();
      if (said.includes('"msg":"ready"')) resolve();
    });
    child.once('exit', (code) => reject(new Error(`the agent ended with ${code}: ${said}`)));
  });
  await until('the first binding', async () => holder() !== undefined);
}

async function stop(signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
  const child = agent;
  if (child === undefined || child.exitCode !== null) return;
  const ended = new Promise((resolve) => child.once('exit', resolve));
  child.kill(signal);
  await ended;
}

async function until(what: string, check: () => Promise<boolean>): Promise<void> {
  const end = Date.now() + 20_000;
  while (!(await check())) {
    if (Date.now() > end) throw new Error(`after 20 s still not: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

const hotseat = (...words: string[]) =>
  execa(process.execPath, [main, ...words], { reject: false, timeout: 60_000, stdin: 'ignore' });
const json = async <T>(...words: string[]): Promise<T> => JSON.parse((await hotseat(...words, '--json')).stdout) as T;
const trail = async (...words: string[]): Promise<TrailRecord[]> =>
  (await hotseat('log', '--json', ...words)).stdout
    .split('\n')
    .flatMap((line) => (line === '' ? [] : [JSON.parse(line) as TrailRecord]));
/** The seat whose directory has the node; callers decide what none or several mean. */
const holder = (node = 'event1000'): string | undefined => {
  const has = ['left', 'right'].filter((seat) => existsSync(join(seatRoot(seat), 'dev/input', node)));
  assert.ok(has.length < 2, 'in two seats at once');
  return has[0];
};

/** Another user's request over the socket: the answer, and the pid that asked. */
async function asOther(request: object, ...extra: number[]): Promise<{ answer: Response; pid: number }> {
  const script = `const socket = require('node:net').connect(${JSON.stringify(controlSocket)});
    let text = '';
    socket.on('data', (data) => { text += data; if (text.includes('\\n')) { console.log(process.pid + ' ' + text); process.exit(0); } });
    socket.write(${JSON.stringify(`${JSON.stringify(request)}\n`)});`;
  const who = ['--reuid=65534', '--regid=65534', extra.length === 0 ? '--clear-groups' : `--groups=${extra.join(',')}`];
  const { stdout } = await execa('setpriv', [...who, process.execPath, '-e', script], { timeout: 60_000, cwd: '/' });
  const [pid = '', ...answer] = stdout.split(' ');
  return { answer: JSON.parse(answer.join(' ')) as Response, pid: Number(pid) };
}

test('everybody reads; who may not write is told which group may, and what to do about it', async () => {
  const { answer } = await asOther({ verb: 'status' });
  assert.ok(answer.ok);
  assert.is((answer.result as Status).seats.length, 2);
  for (const verb of ['reload', 'confirm', 'plan']) {
    const { answer: refused } = await asOther({ verb });
    assert.not.ok(refused.ok);
    if (refused.ok) continue;
    assert.is(refused.error, `${verb} is for root and for members of the group hotseat-admin`);
    assert.is(refused.code, 'not-permitted');
    assert.match(refused.details?.join('\n') ?? '', /groupadd --system hotseat-admin\n.*usermod/);
  }
  const { answer: attach } = await asOther({ verb: 'attach', device: 'event1000', seat: 'right' });
  assert.not.ok(attach.ok);
  assert.is(holder(), 'left');
});

test('a refusal has a code that scripts can rely on', async () => {
  const codes: readonly (readonly [string, ...string[]])[] = [
    ['no-device', 'attach', 'nothing', 'right'],
    ['no-device', 'explain', 'nothing'],
    ['no-seat', 'attach', 'event1000', 'nowhere'],
    ['not-attached', 'detach', 'event1000'],
  ];
  for (const [code, ...words] of codes) {
    const { stdout, exitCode } = await hotseat(...words, '--json');
    assert.is((JSON.parse(stdout) as { code: string }).code, code, words.join(' '));
    assert.is.not(exitCode, 0);
  }
  for (const request of [{}, { verb: 'dance' }, { verb: 'attach' }]) {
    const { answer } = await asOther(request);
    assert.is(answer.ok ? undefined : answer.code, 'bad-request', JSON.stringify(request));
  }
});

test('status says that udevd is away, that the trail cannot be written, and which rule has matched nothing', async () => {
  const before = await json<Status>('status');
  assert.is(before.audit, undefined);
  assert.equal(
    before.seats.map(({ seat, unmatched }) => [seat, ...unmatched.map(({ label }) => label)]),
    [['left'], ['right', 'keys of right']],
  );
  await stop('SIGTERM');
  renameSync(trailFile, `${trailFile}.aside`);
  mkdirSync(trailFile);
  await start();
  const { stdout, exitCode } = await hotseat('status');
  assert.is(exitCode, 1);
  // In the network namespace of this file nobody takes the kernel's own messages.
  assert.match(stdout, /^udev: udevd is away: systemctl start systemd-udevd$/m);
  assert.match(stdout, /^audit: the trail cannot be written: EISDIR/m);
  assert.match(stdout, /^ {2}right\.yaml:4 "keys of right" has matched nothing since it was loaded$/m);
  rmdirSync(trailFile);
  renameSync(`${trailFile}.aside`, trailFile);
  await hotseat('reload');
  assert.is((await json<Status>('status')).audit, undefined, 'there is room again');
});

test('a supplementary group counts, also the last of a hundred; membership that is over does not', async () => {
  groups(`hotseat-admin:x:${admins}:`);
  const many = Array.from({ length: 100 }, (_, index) => 20_000 + index);
  for (const extra of [[admins], [...many, admins]]) assert.ok((await asOther({ verb: 'reload' }, ...extra)).answer.ok);
  assert.not.ok((await asOther({ verb: 'reload' }, ...many)).answer.ok);
});

test('where there is a group hotseat, reading is for its members and those of hotseat-admin', async () => {
  groups(`hotseat-admin:x:${admins}:`, 'hotseat:x:4712:');
  const { answer } = await asOther({ verb: 'status' });
  assert.match(answer.ok ? '' : answer.error, /status is for root and for members of the group hotseat$/);
  assert.ok((await asOther({ verb: 'status' }, 4712)).answer.ok);
  assert.ok((await asOther({ verb: 'status' }, admins)).answer.ok);
  assert.not.ok((await asOther({ verb: 'reload' }, 4712)).answer.ok);
  groups(`hotseat-admin:x:${admins}:`);
});

test('attach moves a device; whose it is, why, until when and by whom is said everywhere', async () => {
  const { answer, pid } = await asOther(
    { verb: 'attach', device: '/dev/input/event1000', seat: 'right', forMs: 3_600_000 },
    admins,
  );
  assert.ok(answer.ok, JSON.stringify(answer));
  const told = answer.result as Attached;
  assert.equal([told.owner, told.problem, told.by], ['right', undefined, 65534]);
  assert.ok(Math.abs(Date.parse(told.until ?? '') - Date.now() - 3_600_000) < 60_000);
  assert.is(holder(), 'right');

  const explained = await hotseat('explain', 'event1000');
  assert.is(explained.exitCode, 0);
  assert.match(
    explained.stdout,
    /: right \(hotseat attach\)\n {2}right hotseat attach "until .*, by uid 65534": matches\n/,
  );
  assert.match(
    explained.stdout,
    /left left\.yaml:4@unversioned "keys of left": matches, but the device was attached to right by hand/,
  );
  assert.match(
    (await hotseat('status')).stdout,
    /attached by hand: Test Keys \(pci-0000:00:05\.0-usb-0:1\.1:1\.0\) to right, until 20/,
  );
  assert.match((await hotseat('devices')).stdout, /right \(hotseat attach\)/);
  assert.match((await hotseat('plan')).stdout, /nothing changes hands/);
  assert.match(
    readFileSync(rulesFile, 'utf8'),
    /ENV\{ID_PATH\}=="pci-[^"]*", ENV\{ID_SERIAL\}=="Maker_Keys_1", .*WANTED_left\}="", .*WANTED_right\}="1"/,
  );

  const records = await trail();
  const [attach] = records.filter(({ what }) => what === 'attach');
  assert.equal([attach?.seat, attach?.device, attach?.name, attach?.result], ['right', head, 'Test Keys', 'done']);
  assert.equal(attach?.by, { uid: 65534, pid });
  const moved = records.filter(({ what }) => what === 'unbind' || what === 'revoke' || what === 'bind').slice(-3);
  assert.equal(
    moved.map(({ what, seat, file }) => [what, seat, file]),
    [
      ['unbind', 'left', 'left.yaml'],
      ['revoke', 'left', 'left.yaml'],
      ['bind', 'right', 'hotseat attach'],
    ],
  );
  assert.equal(
    moved.map(({ nodes }) => nodes),
    Array(3).fill(['/dev/input/event1000']),
  );
});

test('a restart of the agent, in order or by force, and another reload change nothing of it', async () => {
  const before = statSync(join(seatRoot('right'), 'dev/input/event1000')).ino;
  for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
    await stop(signal);
    await start();
    assert.is(holder(), 'right');
  }
  assert.is((await hotseat('reload')).exitCode, 0);
  assert.is(holder(), 'right');
  assert.is(statSync(join(seatRoot('right'), 'dev/input/event1000')).ino, before, 'the very same node');
});

test('a run that was killed is a failure on record, and one that ended in order is none', async () => {
  const runs = (await trail()).filter(({ what }) => what === 'run');
  assert.equal(
    runs.map(({ result }) => result),
    ['done', 'unclosed', 'open'],
  );
  const { stdout } = await hotseat('log', '--failed');
  assert.match(stdout, /run +INTERRUPTED/);
  assert.not.match(stdout, /bind/);
});

test('detach gives it back to whom policy says', async () => {
  const { stdout, exitCode } = await hotseat('detach', 'event1000');
  assert.is(exitCode, 0);
  assert.match(stdout, /^Test Keys \(pci-[^)]*\): left$/);
  assert.is(holder(), 'left');
  assert.equal((await json<Status>('status')).attached, []);
  assert.not.match(readFileSync(rulesFile, 'utf8'), /HOTSEAT_LENT/);
  const again = await hotseat('detach', 'event1000');
  assert.is(again.exitCode, 2);
  assert.match(again.stderr, /"event1000" was not attached by hand/);
});

test('it ends with its time, and with a time that was over while no agent ran', async () => {
  const { stdout, exitCode } = await hotseat('attach', 'input1000', 'right', '--for', '4s');
  assert.is(exitCode, 0, stdout);
  assert.is(holder(), 'right');
  await until('the end of its time', async () => holder() === 'left');
  const [attached, ended] = (await trail()).filter(({ what }) => what === 'attach' || what === 'detach').slice(-2);
  const lasted = Date.parse(ended?.at ?? '') - Date.parse(attached?.at ?? '');
  // Its time begins a moment before the line about it is written.
  assert.ok(lasted >= 3500 && lasted < 40_000, `${lasted} ms`);
  assert.is(ended?.by, undefined, 'nobody asked for it');

  assert.is((await hotseat('attach', 'input1000', 'right', '--for', '2s')).exitCode, 0);
  await stop('SIGTERM');
  assert.is(holder(), 'right', 'a stopped agent takes nothing away');
  await new Promise((resolve) => setTimeout(resolve, 2100));
  await start();
  await until('what policy says', async () => holder() === 'left');
});

test('all that is the same physical device goes and comes back with what was named', async () => {
  const nodes = ['event1001', 'event1002'];
  assert.is((await hotseat('attach', 'event1001', 'right')).exitCode, 0);
  assert.equal(nodes.map(holder), ['right', 'right']);
  assert.match(
    (await hotseat('explain', 'event1002')).stdout,
    /\n {2}right hotseat attach "until [^\n]*: matches\n(?!.*attach)/,
  );
  await stop('SIGTERM');
  await start();
  assert.equal(nodes.map(holder), ['right', 'right']);
  assert.is((await hotseat('detach', 'event1002')).exitCode, 0);
  assert.equal(nodes.map(holder), [undefined, undefined]);
});

test('two that end in one moment end once each', async () => {
  const ends = async () => (await trail()).filter(({ what }) => what === 'detach').length;
  const before = await ends();
  const request = { verb: 'attach', seat: 'right', forMs: 4000 };
  await Promise.all(['event1000', 'event1001'].map((device) => asOther({ ...request, device }, admins)));
  assert.equal([holder('event1000'), holder('event1001')], ['right', 'right']);
  await until('both to be where policy says', async () => holder('event1000') === 'left' && !holder('event1001'));
  await until('both ends', async () => (await ends()) >= before + 2);
  assert.is(await ends(), before + 2);
});

test('what cannot be is refused in words', async () => {
  const refused = async (...words: string[]) => (await hotseat('attach', ...words)).stderr;
  assert.match(await refused('event1000', 'middle'), /there is no seat "middle": the policy has left, right/);
  assert.match(await refused('event1', 'left'), /no device "event1": hotseat devices lists them/);
  assert.match(await refused('event1000'), /name the device and the seat/);
  assert.match(await refused('event1000', 'left', '--for', 'ever'), /--for takes a time such as 30s/);
  assert.ok(!existsSync(loanFile) || readFileSync(loanFile, 'utf8') === '[]');
});

test("the host's last keyboard is given away by force only", async () => {
  const file = join(scratch, 'policies/left.yaml');
  const text = readFileSync(file, 'utf8');
  writeFileSync(file, text.replace(path, 'pci-0000:00:05.0-usb-0:7'));
  assert.is((await hotseat('reload')).exitCode, 0);
  await until('the host to have it', async () => holder() === undefined);
  const { stderr, exitCode } = await hotseat('attach', 'event1000', 'right');
  assert.is(exitCode, 1);
  assert.match(stderr, /refused: hotseat attach --force does it\n {2}the host would lose its last keyboard/);
  assert.is(holder(), undefined);
  assert.is((await hotseat('attach', 'event1000', 'right', '--force')).exitCode, 0);
  assert.is(holder(), 'right');
  assert.is((await hotseat('detach', 'Test Keys')).exitCode, 0);
  assert.is(holder(), undefined);
  writeFileSync(file, text);
  assert.is((await hotseat('reload', '--force')).exitCode, 0);
  await until('left to have it', async () => holder() === 'left');
});

test('log filters, follows, and needs no agent', async () => {
  assert.ok((await trail('--seat', 'right')).every(({ seat }) => seat === 'right'));
  assert.ok((await trail('--device', 'input1000')).length > 5);
  assert.equal(await trail('--device', 'input1'), []);
  assert.equal(
    (await trail('--since', '1h')).map(({ id }) => id),
    (await trail()).map(({ id }) => id),
  );
  const following = execa(process.execPath, [main, 'log', '--since', '1s', '--follow', '--json'], {
    reject: false,
    stdin: 'ignore',
  });
  let heard = '';
  following.stdout.on('data', (data: Buffer) => {
    heard += data.toString();
  });
  await until('to be followed', async () => {
    await hotseat('reload');
    return heard.includes('"what":"policy"');
  });
  following.kill('SIGTERM');
  assert.is((await following).exitCode, 0);

  await stop('SIGTERM');
  const count = (await trail()).length;
  assert.ok(count > 10);
  // A power cut in the middle of a line.
  const text = readFileSync(trailFile, 'utf8');
  writeFileSync(trailFile, text.slice(0, -20));
  const torn = await hotseat('log', '--json');
  assert.is(torn.exitCode, 0);
  assert.match(torn.stdout, /"what":"run".*"result":"unclosed"/);
  await start();
  const whole = await trail();
  assert.is(whole.filter(({ what, result }) => what === 'run' && result === 'unclosed').length, 2);
  assert.is(whole.filter(({ result }) => result === 'open').length, 1);
});

test('the trail is for its readers', async () => {
  const stat = statSync(trailFile);
  assert.equal([stat.uid, stat.gid, stat.mode & 0o777], [0, admins, 0o640]);
  const read = (...who: string[]) =>
    execa('setpriv', ['--reuid=65534', '--regid=65534', ...who, 'cat', trailFile], { reject: false });
  assert.is((await read('--clear-groups')).exitCode, 1);
  assert.is((await read(`--groups=${admins}`)).exitCode, 0);
  for (const secret of [loanFile, join(seatRoot('left'), 'dev')]) {
    const { exitCode } = await execa(
      'setpriv',
      ['--reuid=65534', '--regid=65534', '--clear-groups', 'ls', `${secret}/.`],
      { reject: false },
    );
    assert.is.not(exitCode, 0, secret);
  }
});

test('metrics counts what happened, on the terminal and whole in a file', async () => {
  const { stdout, exitCode } = await hotseat('metrics');
  assert.is(exitCode, 0);
  assert.match(stdout, /^hotseat_bindings\{seat="left",class="input"\} 1$/m);
  assert.match(stdout, /^hotseat_seats\{state="waiting"\} 2$/m);
  assert.match(stdout, /^hotseat_policy_info\{revision="unversioned"\} 1$/m);
  assert.match(stdout, /^hotseat_audit_records_total\{what="policy",end="done"\} [1-9]/m);
  assert.match(stdout, /^hotseat_audit_failures_total 0$/m);
  assert.match(stdout, /^hotseat_plan_duration_seconds_count [1-9]/m);
  const file = join(scratch, 'hotseat.prom');
  assert.is((await hotseat('metrics', '--output', file)).exitCode, 0);
  assert.match(readFileSync(file, 'utf8'), /^hotseat_bindings\{seat="left",class="input"\} 1$/m);
  assert.is(statSync(file).mode & 0o777, 0o644);
});

test('a report is one archive that says what is in it, without the serial numbers of devices', async () => {
  assert.match((await hotseat('record', 'event1000', '--unmask')).stdout, /Maker_Keys_1/, 'it has one to hide');
  const file = join(scratch, 'report.tar.gz');
  const { stdout, exitCode } = await hotseat('report', '--out', file);
  assert.is(exitCode, 0);
  assert.is(statSync(file).mode & 0o777, 0o600);
  execaSync('tar', ['-xzf', file, '-C', scratch]);
  const [name = ''] = execaSync('tar', ['-tzf', file]).stdout.split('/');
  const text = (part: string) => readFileSync(join(scratch, name, part), 'utf8');
  const listed = stdout.split('\n').flatMap((line) => /^(\S+\.(?:txt|json|yaml)) +\S/.exec(line)?.[1] ?? []);
  assert.ok(listed.length >= 9, stdout);
  for (const part of ['CONTENTS.txt', ...listed]) assert.not.match(text(part), /Maker_Keys_1/, part);
  assert.ok(stdout.startsWith(text('CONTENTS.txt').trimEnd()));
  assert.match(text('versions.txt'), /^hotseat: \d+\.\d+\.\d+\nsystem: \S.*\nkernel: \d/);
  assert.match(text('doctor.txt'), /^ok +service: the agent answers: policy unversioned, seats: left, right$/m);
  assert.is((JSON.parse(text('status.json')) as Status).seats.length, 2);
  assert.match(text('devices.txt'), /Test Keys/);
  assert.match(text('log.txt'), /attach .*Test Keys/);
  assert.match(text('devices/001-input1000.yaml'), /ID_SERIAL: masked-[0-9a-f]{8}\n/);
  const again = await hotseat('report', '--out', file);
  assert.is(again.exitCode, 2);
  assert.match(again.stderr, /report\.tar\.gz exists: name another file with --out/);
});

test('without an agent a report has the rest, and says what is missing', async () => {
  await stop('SIGTERM');
  const file = join(scratch, 'alone.tar.gz');
  assert.is((await hotseat('report', '--out', file)).exitCode, 0);
  const names = execaSync('tar', ['-tzf', file]).stdout.split('\n');
  const [root = ''] = names[0]?.split('/') ?? [];
  execaSync('tar', ['-xzf', file, '-C', scratch]);
  const text = (part: string) => readFileSync(join(scratch, root, part), 'utf8');
  assert.match(text('devices/missing.txt'), /^no device: \S/);
  assert.match(text('status.txt'), /^hotseat: \S/);
  assert.match(text('log.txt'), /attach .*Test Keys/);
});

test('a seat’s directory that its container has spoilt keeps release from nothing', async () => {
  const [spoilt, view] = [join(seatRoot('left'), 'udev'), join(scratch, 'view')];
  mkdirSync(view);
  execaSync('mount', ['--bind', spoilt, view]);
  rmSync(join(view, 'data'), { recursive: true });
  assert.throws(() => {
    for (let made = 0; ; made++) writeFileSync(join(view, `x${made}`), '');
  }, /ENOSPC/);
  const env = { PATH: `${scratch}/bin:${process.env['PATH']}` };
  const { stderr, exitCode } = await execa(process.execPath, [main, 'release'], { reject: false, env });
  assert.equal([exitCode, stderr.split('\n').filter((line) => line.startsWith('hotseat release:'))], [0, []], stderr);
  assert.not.ok(existsSync('/run/hotseat'));
  assert.not.ok(existsSync(rulesFile));
  execaSync('umount', [view]);
});

test.run();
