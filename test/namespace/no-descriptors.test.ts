// An agent that has no descriptor left knows less than before, and nothing else: nobody's container has ended by that.

import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { closeSync, existsSync, mkdirSync, mkdtempSync, openSync, rmdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { CgroupTree } from '../../agent/engines/cgroup-tree.js';
import type { Dialect } from '../../agent/engines/dialect.js';
import { Follower } from '../../agent/engines/follower.js';
import { isLingering } from '../../agent/engines/process.js';
import { uidOf, uidsOf } from '../../agent/engines/users.js';
import { cgroupRoot, isPopulated } from '../../agent/kernel/cgroup.js';
import { goOn } from '../../agent/seat/standstill.js';
import { surroundings } from '../../agent/udev/enumerate.js';
import { until } from './until.js';

const root = cgroupRoot();
const slice = `hotseat-spent-${process.pid}.slice`;
const group = join(root, slice, 'seat-a.scope');
const paths = [[new RegExp(`^${slice}$`), /^seat-.\.scope$/]];
const dialect: Dialect = {
  engine: 'nspawn',
  program: 'none',
  attachesOnce: false,
  renames: true,
  paths,
  identify: () => ({ name: 'a', user: undefined }),
  streams: () => [],
};
const follower = new Follower(root, dialect, { commandLine: async () => undefined });
const scratch = mkdtempSync(join(tmpdir(), 'hotseat-spent-'));
let init: ChildProcess;

const limit = (soft: string): unknown =>
  execFileSync('prlimit', ['--pid', String(process.pid), `--nofile=${soft}:`], { stdio: 'ignore' });

/** Does something while this process can open nothing: its limit is low, and everything below is taken (getrlimit(2)). */
async function withoutDescriptors(act: () => void | Promise<void>): Promise<void> {
  limit('200');
  const taken: number[] = [];
  try {
    for (;;) taken.push(openSync('/dev/null', 'r'));
  } catch (error) {
    assert.is((error as NodeJS.ErrnoException).code, 'EMFILE');
  }
  try {
    await act();
  } finally {
    for (const fd of taken) closeSync(fd);
    limit('1024');
  }
}

test.before(async () => {
  mkdirSync(group, { recursive: true });
  const script = `echo $$ > ${group}/cgroup.procs && exec unshare --pid --fork --kill-child cat`;
  init = spawn('sh', ['-c', script], { stdio: ['pipe', 'ignore', 'inherit'] });
  await until('the container', () => follower.list().length === 1);
});

test.after(async () => {
  if (existsSync(group)) writeFileSync(join(group, 'cgroup.kill'), '1');
  follower.close();
  await until('the groups to go', () => {
    try {
      for (const path of [group, join(root, slice)]) rmdirSync(path);
    } catch {
      return !existsSync(join(root, slice));
    }
    return true;
  });
  rmSync(scratch, { recursive: true });
});

test('a container that runs is still listed, known as before, and why no more can be told is said', async () => {
  const before = follower.list();
  const known = [...follower.knows.keys()];
  await withoutDescriptors(() => {
    for (let looks = 0; looks < 3; looks++) {
      assert.equal(follower.list(), before);
      assert.match(follower.problem ?? '', /cannot be listed now.*EMFILE/);
      assert.equal([...follower.knows.keys()], known);
    }
  });
  assert.equal(follower.list(), before);
  assert.is(follower.problem, undefined);
});

test('a container whose own files alone cannot be read is listed as before', async () => {
  const before = follower.list();
  const { find } = CgroupTree.prototype;
  const groups = [group];
  try {
    // The groups were listed with the last descriptor that there was.
    CgroupTree.prototype.find = () => groups;
    await withoutDescriptors(() => {
      assert.equal(follower.list(), before);
      assert.match(follower.problem ?? '', /seat-a\.scope cannot be looked at now.*EMFILE/);
    });
  } finally {
    CgroupTree.prototype.find = find;
  }
  assert.equal(follower.list(), before);
  assert.is(follower.problem, undefined);
});

test('what is watched stays so: the next change is heard of', async () => {
  await withoutDescriptors(() => void follower.list());
  let heard = 0;
  const listening = follower.changes.subscribe(() => {
    heard += 1;
  });
  const other = join(root, slice, 'seat-b.scope');
  mkdirSync(other);
  await until('word of another group', () => heard > 0);
  listening.unsubscribe();
  rmdirSync(other);
});

test('one that was never seen is an error, and not the news that there is none', async () => {
  const fresh = new Follower(root, dialect, { commandLine: async () => undefined });
  await withoutDescriptors(() => {
    assert.throws(() => fresh.list(), /EMFILE/);
  });
  assert.is(fresh.list().length, 1);
  fresh.close();
});

test('accounts are as they were, a group counts as populated, and processes may linger in it', async () => {
  const [uid, uids] = [uidOf('daemon'), uidsOf('daemon')];
  assert.match(uid, /^\d+$/);
  await withoutDescriptors(() => {
    assert.is(uidOf('daemon'), uid);
    assert.equal(uidsOf('daemon'), uids);
    assert.ok(isPopulated(group));
    assert.ok(isLingering(group, { key: '1:1', cgroup: root }));
  });
});

test('a container that stands still is not forgotten: its mark stays until it can go on', async () => {
  const mark = join(scratch, 'mark');
  writeFileSync(mark, group);
  await withoutDescriptors(async () => {
    const reason = await goOn(mark).catch(({ message }: Error) => message);
    assert.match(String(reason), /EMFILE/);
  });
  assert.ok(existsSync(mark));
  await goOn(mark);
  assert.not.ok(existsSync(mark));
});

test('its end is noticed when there are descriptors again', async () => {
  await withoutDescriptors(() => {
    init.stdin?.end();
    assert.is(follower.list().length, 1);
  });
  await until('its end', () => follower.list().length === 0);
  assert.is(follower.problem, undefined);
});

test('a device has an attribute that could not be read, and nobody says that it has none', async () => {
  const sys = join(scratch, 'sys');
  mkdirSync(join(sys, 'devices/usb1'), { recursive: true });
  writeFileSync(join(sys, 'devices/usb1/idVendor'), '1209\n');
  const seen = surroundings('/sys/devices/usb1', { sys, data: scratch }, () => undefined);
  await withoutDescriptors(() => assert.ok(seen.unread?.includes('idVendor')));
  const later = surroundings('/sys/devices/usb1', { sys, data: scratch }, () => undefined);
  assert.equal([later.unread, later.attributes], [undefined, { idVendor: '1209' }]);
});

test.run();
