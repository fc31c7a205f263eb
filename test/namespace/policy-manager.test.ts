import { execFileSync } from 'node:child_process';
import { chmodSync, copyFileSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { deflateSync } from 'node:zlib';
import { pino } from 'pino';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { PolicyManager, type PolicyManagerDeps } from '../../agent/active/manager.js';
import { trialFile } from '../../agent/active/trial.js';
import { unrecorded } from '../../agent/core/audit.js';
import type { Policy } from '../../agent/core/policy.js';
import { type Touched, whole } from '../../agent/core/scope.js';
import { resolveCommit } from '../../agent/policy/git.js';
import { silentFuse } from './silent-fuse.js';
import { unshared } from './unshared.js';

// With a /var/lib of its own, where the agent keeps its facts for the time after a boot.
unshared(import.meta.url);

const policies = '/run/policies';
const unhandled: unknown[] = [];
process.on('unhandledRejection', (error) => unhandled.push(error));

test.before(() => {
  for (const place of ['/run', '/var/lib']) execFileSync('mount', ['-t', 'tmpfs', 'tmpfs', place]);
  mkdirSync(policies);
});

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** Of each policy that a boot has been made to go by: how many seats it has. */
const forBoot: number[] = [];

/** Judges everything by a policy, and says whose devices that changes. */
let judging = (_policy: Policy): Touched => new Map();

/** A host without devices, whose udev is told of a policy by `install`. */
function manager(install: () => Promise<void>, ref?: string, signers?: string): PolicyManager {
  const deps = {
    log: pino({ level: 'silent' }),
    place: { policies, ref, signers },
    table: { units: () => [] },
    controller: { assignments: { judged: new Map() }, adopt: (policy: Policy) => judging(policy) },
    rules: { install },
    consoles: { mute: () => undefined, open: () => undefined },
    atBoot: { keep: ({ seats }: Policy) => forBoot.push(seats.length) },
    tell: () => undefined,
    audit: unrecorded,
    book: { loans: [] },
  };
  return new PolicyManager(deps as unknown as PolicyManagerDeps);
}

const git = (...words: string[]) =>
  execFileSync('git', ['-C', policies, '-c', 'user.name=a', '-c', 'user.email=a@b', ...words], { stdio: 'ignore' });

function write(...seats: string[]): void {
  for (const seat of seats) {
    const text = { seat, container: { engine: 'lxc', name: seat }, devices: [] };
    writeFileSync(`${policies}/${seat}.yaml`, JSON.stringify(text));
  }
}

test('policies are taken one after the other, and what one end of them meets does not stop the next', async () => {
  write('left');
  let busy = 0;
  let most = 0;
  let taken = 0;
  const one = manager(async () => {
    most = Math.max(most, ++busy);
    await pause(20);
    busy -= 1;
    taken += 1;
    if (taken === 1) throw new Error('udevd is away');
  });
  const ends = await Promise.allSettled([one.reload(false), one.reload(false), one.reload(false)]);
  assert.equal(
    ends.map(({ status }) => status),
    ['rejected', 'fulfilled', 'fulfilled'],
  );
  assert.equal([most, taken], [1, 3]);
});

test('everything is judged by a policy before the host hears of it, whether or not anybody follows the policies', async () => {
  const usual = judging;
  const order: string[] = [];
  judging = ({ seats }) => {
    order.push('judged');
    return whole(seats.map(({ seat }) => seat));
  };
  try {
    const one = manager(async () => void order.push('host'));
    await one.reload(true);
    assert.equal(order, ['judged', 'host']);
    one.adopted.subscribe(({ touched }) => order.push(...touched.keys()));
    await one.reload(true);
    assert.equal(order, ['judged', 'host', 'judged', 'left', 'host']);

    judging = () => {
      throw new Error('no space left on device');
    };
    let heard: unknown;
    const other = manager(async () => void order.push('host'));
    other.adopted.subscribe({ error: (error) => (heard = error) });
    await assertRejects(other.reload(true));
    assert.match(String(heard), /no space left/, 'half a policy ends the agent');
    assert.is(order.length, 5, 'and the host does not hear of it');
  } finally {
    judging = usual;
  }
});

test('a policy that nobody confirmed goes, also when udevd cannot be told of it, and the agent stays', async () => {
  write('left');
  let away = false;
  const one = manager(async () => {
    if (away) throw new Error('udevd is away');
  });
  const seats: number[] = [];
  one.adopted.subscribe(({ policy }) => seats.push(policy.seats.length));
  await one.begin();
  write('right');
  await one.reload(false, 50);
  away = true;
  await pause(300);
  assert.equal(seats, [1, 2, 1]);
  assert.equal(unhandled, []);
});

test('a boot goes by the policy that was confirmed last, not by one on trial', async () => {
  // The trial of the test above does not concern this one.
  rmSync(trialFile);
  forBoot.length = 0;
  const one = manager(async () => undefined);
  await one.begin();
  write('third');
  await one.reload(false, 600_000);
  assert.equal(forBoot, [2]);
  one.confirm();
  assert.equal(forBoot, [2, 3]);
  rmSync(`${policies}/third.yaml`);
});

test('of what is wrong with a policy so much is said as anybody reads', async () => {
  write('left');
  const one = manager(async () => undefined);
  for (let index = 0; index < 150; index++) writeFileSync(`${policies}/bad${index}.yaml`, 'nonsense: true\n');
  await assertRejects(one.reload(false));
  assert.is(one.errors.length, 101);
  assert.match(one.errors.at(-1) ?? '', /^and \d+ more$/);
  for (let index = 0; index < 150; index++) rmSync(`${policies}/bad${index}.yaml`);
});

test('a commit that git died over is tried again; one that is refused is not', async () => {
  write('left', 'right');
  git('init', '-q', '-b', 'main');
  git('add', '.');
  git('commit', '-qm', 'two seats');
  let taken = 0;
  const one = manager(async () => {
    taken += 1;
  }, 'refs/heads/main');
  await whileGitDies(async () => {
    await assertRejects(one.follow());
    assert.match(one.errors.join(), /git ls-tree in .*SIGKILL/);
  });
  await one.follow();
  assert.is(taken, 1);
  assert.equal(one.errors, []);

  writeFileSync(`${policies}/left.yaml`, 'nonsense');
  git('commit', '-qam', 'nonsense');
  await assertRejects(one.follow());
  await one.follow();
  assert.is(taken, 1);
  const refused = one.errors;
  assert.ok(refused.length > 0);
  await withGit('case "$*" in *rev-parse*) kill -9 $$ ;; esac', () => assertRejects(one.follow()));
  assert.match(one.errors[0] ?? '', /git rev-parse in .*SIGKILL/, 'what is wrong now comes first');
  assert.equal(one.errors.slice(1), refused);
  await one.follow();
  assert.equal(one.errors, refused, 'which one there is can be told again');
});

test('what was on trial when the PC went off is not taken later either, unless somebody asks for it', async () => {
  let taken = 0;
  const install = async () => {
    taken += 1;
  };
  write('left', 'right');
  git('commit', '-qam', 'good again');
  const before = manager(install, 'refs/heads/main');
  await before.begin();
  write('third');
  git('add', '.');
  git('commit', '-qm', 'on trial');
  await before.reload(false, 600_000);
  taken = 0;
  const after = manager(install, 'refs/heads/main');
  await whileGitDies(() => after.begin());
  assert.is(taken, 1, 'the one that was good last');
  await assertRejects(after.follow());
  assert.match(after.errors.join(), /on trial and nobody confirmed it/);
  await after.follow();
  assert.is(taken, 1);
  await after.reload(false);
  assert.is(taken, 2);
});

test('a signed commit that is older than the confirmed one is refused, whoever put the ref back and however', async () => {
  const [key, signers] = ['/run/key', '/run/signers'];
  execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', key]);
  writeFileSync(signers, `a@b ${readFileSync(`${key}.pub`, 'utf8')}`);
  const signed = (...seats: string[]): string => {
    write(...seats);
    git('add', '.');
    git('-c', 'gpg.format=ssh', '-c', `user.signingKey=${key}`, 'commit', '-qS', '-m', seats.join());
    return execFileSync('git', ['-C', policies, 'rev-parse', 'main'], { encoding: 'utf8' }).trim();
  };
  const refTo = (commit: string) => git('update-ref', 'refs/heads/main', commit);
  const root = { uid: 0, pid: 1 };
  const agent = () => manager(async () => undefined, 'refs/heads/main', signers);
  rmSync(trialFile, { force: true });
  git('rm', '-q', '--cached', 'third.yaml');
  const old = signed('fourth');
  const middle = signed('fifth');
  const one = agent();
  await one.begin();
  assert.is(one.revision, middle);

  // A trial is no confirmation: the policy after it may be the one before it.
  const tried = signed('sixth');
  await one.reload(true, 50);
  assert.is(one.revision, tried);
  await pause(300);
  assert.is(one.revision, middle, 'going back from a trial is no rollback');
  refTo(middle);
  await one.reload(true);
  await one.reload(true, 600_000);
  one.confirm();

  for (const forge of [
    () => undefined,
    // Its parent is the confirmed commit, says a file of the repository (gitrepository-layout(5)).
    () => writeFileSync(`${policies}/.git/info/grafts`, `${old} ${middle}\n`),
    () => git('replace', '--graft', old, middle),
  ]) {
    // A commit that was refused is not tried again before another one was.
    refTo(middle);
    await one.reload(true);
    forge();
    refTo(old);
    await assertRejects(one.follow());
    assert.match(one.errors.join(), new RegExp(`^${old} does not descend from ${middle}, .*--allow-rollback$`));
    await assertRejects(one.reload(true));
    await assertRejects(one.peek(undefined));
    const fresh = agent();
    await fresh.begin();
    assert.equal([one.revision, fresh.revision], [middle, middle], 'nor by an agent that starts again');
  }
  // The old commit becomes a child of the confirmed one in the middle of it: after its signature was found good, or before
  // its history is read.
  const loose = `${policies}/.git/objects/${old.slice(0, 2)}/${old.slice(2)}`;
  const real = readFileSync(loose);
  const body = execFileSync('git', ['-C', policies, 'cat-file', 'commit', old], { encoding: 'utf8' });
  const child = Buffer.from(body.replace(/^parent .*$/m, `parent ${middle}`));
  const forged = deflateSync(Buffer.concat([Buffer.from(`commit ${child.length}\0`), child]));
  writeFileSync('/run/forged', forged);
  for (const [command, nth] of [
    ['rev-list', 1],
    ['verify-commit', 1],
    ['pack-objects', 1],
    ['pack-objects', 4],
  ] as const) {
    refTo(middle);
    await one.reload(true);
    writeFileSync('/run/count', '');
    const swap = `echo >> /run/count; [ $(wc -l < /run/count) != ${nth} ] || cp -f /run/forged ${loose}`;
    refTo(old);
    await withGit(`case "$*" in *\\ ${command}\\ *) ${swap} ;; esac`, () => assertRejects(one.follow()));
    assert.ok(readFileSync(loose).equals(forged), `${command} was the ${nth}.`);
    assert.match(one.errors.join(), /does not descend from|does not match its name/);
    rmSync(loose);
    writeFileSync(loose, real);
    assert.is(one.revision, middle, command);
  }
  await assertRejects(one.reload(true, undefined, { uid: 1000, pid: 1 }, true));
  assert.is(await one.reload(true, undefined, root, true), old);
  refTo(tried);
  assert.is(await one.reload(true), tried, 'a descendant needs no leave');
});

test('a repository that is never answered for, also against SIGKILL, costs the deadline and then nobody waits', async () => {
  const one = manager(async () => undefined, 'refs/heads/main');
  await one.begin();
  const { revision } = one;
  // In the one an object hangs, in the other the place where it is looked for.
  const objects = `${policies}/.git/objects`;
  const foreign = '/run/foreign';
  mkdirSync(foreign);
  const fuses = await Promise.all([objects, foreign].map(silentFuse));
  const refused = (repository: string) =>
    resolveCommit({ repository, ref: 'refs/heads/main', signers: undefined }).then(
      String,
      (error: Error) => error.message,
    );
  try {
    await Promise.all(fuses.map((fuse) => fuse.hush()));
    const began = performance.now();
    const others = [policies, foreign, foreign].map(refused);
    assert.ok(performance.now() - began < 1000, 'nothing is looked at by ourselves');
    await assertRejects(one.reload(true));
    assert.match(one.errors.join(), /git rev-parse in .* took longer than 10000 ms/);
    for (const reason of await Promise.all(others)) assert.match(reason, /took longer than 10000 ms/);
    assert.ok(performance.now() - began < 15_000);
    // It is asked every half minute: no more may stay behind.
    const again = performance.now();
    await assertRejects(one.reload(true));
    assert.match(await refused(policies), /does not answer, and holds 2 processes by now/);
    assert.match(await refused(foreign), /does not answer, and holds 2 processes by now/);
    assert.match(one.errors.join(), /^git rev-parse in .* does not answer, and holds 2 processes by now$/);
    assert.ok(performance.now() - again < 1000);
  } finally {
    for (const fuse of fuses) fuse.end();
    for (const place of [objects, foreign]) execFileSync('umount', ['--lazy', place]);
  }
  for (let tries = 0; /holds 2/.test(await refused(policies)) && tries < 100; tries++) await pause(20);
  await one.reload(true);
  assert.is(one.revision, revision);
  assert.equal(one.errors, [], 'what was wrong is over');
});

/** As if memory had run out: git knows the question, and dies over the answer. */
const whileGitDies = (act: () => Promise<void>): Promise<void> =>
  withGit('case "$*" in *ls-tree*) kill -9 $$ ;; esac', act);

/** A line of shell before each command of git. */
async function withGit(line: string, act: () => Promise<void>): Promise<void> {
  const real = '/run/git';
  copyFileSync('/usr/bin/git', real);
  chmodSync(real, 0o755);
  const wrapper = '/run/wrapper';
  writeFileSync(wrapper, `#!/bin/sh\n${line}\nexec ${real} "$@"\n`, { mode: 0o755 });
  execFileSync('mount', ['--bind', wrapper, '/usr/bin/git']);
  try {
    await act();
  } finally {
    execFileSync('umount', ['/usr/bin/git']);
  }
}

async function assertRejects(promise: Promise<unknown>): Promise<void> {
  const [{ status }] = (await Promise.allSettled([promise])) as [PromiseSettledResult<unknown>];
  assert.is(status, 'rejected');
}

test.run();
