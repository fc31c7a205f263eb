// A user makes as many groups as he likes, where his containers could be: he costs nobody anything.

import { readdirSync, readFileSync, readlinkSync, rmdirSync } from 'node:fs';
import { chown, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Follower } from '../../agent/engines/follower.js';
import { lxc } from '../../agent/engines/lxc.js';
import { cgroupRoot } from '../../agent/kernel/cgroup.js';

const root = join(cgroupRoot(), `hotseat-many-${process.pid}`);
const manager = join(root, 'user.slice/user-65534.slice/user@65534.service');
const made: string[] = [];
/** Another user, who has as many groups as are looked at of one. */
const modest = join(root, 'user.slice/user-65533.slice/user@65533.service');
const count = 5000;
const few = 500;

async function make(path: string, uid = 0): Promise<void> {
  await mkdir(path);
  made.push(path);
  if (uid !== 0) await chown(path, uid, uid);
}

/** inotify watches of this process (proc_pid_fdinfo(5)). */
function watches(): number {
  return readdirSync('/proc/self/fd').reduce((sum, fd) => {
    try {
      if (readlinkSync(`/proc/self/fd/${fd}`) !== 'anon_inode:inotify') return sum;
      return (
        sum +
        readFileSync(`/proc/self/fdinfo/${fd}`, 'utf8')
          .split('\n')
          .filter((line) => line.startsWith('inotify')).length
      );
    } catch {
      return sum;
    }
  }, 0);
}

interface Look {
  /** Processor time: others use the machine as well. */
  readonly ms: number;
  readonly watches: number;
  readonly problem: string | undefined;
}

function look(users: readonly (string | undefined)[]): Look {
  const before = watches();
  const follower = new Follower(root, lxc, { commandLine: async () => undefined });
  follower.lookFor(new Set(users));
  const began = process.cpuUsage();
  follower.list();
  const { user, system } = process.cpuUsage(began);
  const result = { ms: (user + system) / 1000, watches: watches() - before, problem: follower.problem };
  follower.close();
  return result;
}

const inSlice = join(root, 'user.slice/user-4711.slice/user@4711.service');

test.before(async () => {
  for (const path of [root, join(root, 'user.slice'), join(manager, '..')]) await make(path);
  await make(manager, 65534);
  for (let number = 0; number < count; number++) await make(join(manager, `x${number}.scope`), 65534);
  await make(join(modest, '..'));
  await make(modest, 65533);
  for (let number = 0; number < few; number++) await make(join(modest, `x${number}.scope`), 65533);
  // Groups of root's, but in a user's tree.
  for (const path of [join(inSlice, '..'), inSlice]) await make(path);
  for (let number = 0; number < 1000; number++) await make(join(inSlice, `x${number}.scope`));
});

test.after(() => {
  for (const path of made.toReversed()) rmdirSync(path);
});

test('whom no seat file names is not looked at', () => {
  const { watches, problem } = look([undefined]);
  assert.ok(watches < 10, `${watches} watches`);
  assert.is(problem, undefined);
});

test('whom a seat file names before he has an account is waited for', () => {
  const { watches, problem } = look(['nobody-yet']);
  assert.ok(watches > 0 && watches < 10, `${watches} watches`);
  assert.is(problem, undefined);
});

test('of whom one names, so many groups are looked at, and no more; that is said', () => {
  const { watches, problem } = look(['65534']);
  /** The shortest of several looks at a user. */
  const shortest = (uid: string): number => Math.min(...Array.from({ length: 5 }, () => look([uid]).ms));
  const [ofFew, ofMany] = [shortest('65533'), shortest('65534')];
  console.log(
    `a look takes ${Math.round(ofFew)} ms at ${few} groups, ${Math.round(ofMany)} ms at ${count}, and ${watches} watches`,
  );
  assert.ok(ofMany < 3 * ofFew, `${ofMany} ms, and ${ofFew} ms at ${few} groups`);
  assert.ok(watches > 100 && watches < 1100, `${watches} watches`);
  assert.match(problem ?? '', /^not all is looked at: too many groups in \/.*\/user@65534\.service$/);
});

test('groups of root’s below a user’s slice count as his', () => {
  const { watches, problem } = look(['4711']);
  assert.ok(watches > 100 && watches < 700, `${watches} watches`);
  assert.match(problem ?? '', /^not all is looked at: too many groups in \/.*\/user@4711\.service$/);
});

test.run();
