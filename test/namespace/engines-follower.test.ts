import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdirSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Subject } from 'rxjs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { Dialect } from '../../agent/engines/dialect.js';
import { Follower } from '../../agent/engines/follower.js';
import type { Word } from '../../agent/engines/streams/stream.js';
import { cgroupRoot } from '../../agent/kernel/cgroup.js';
import { until } from './until.js';

// Real cgroups and a real pid namespace, under a slice that no engine uses.
const root = cgroupRoot();
const slice = `hotseat-test-${process.pid}.slice`;
const group = join(root, slice, 'seat-a.scope');
const payload = join(group, 'payload');
let answer = (): string => 'a';
const words = new Subject<Word>();
const dialect: Dialect = {
  engine: 'nspawn',
  program: 'none',
  attachesOnce: false,
  renames: true,
  paths: [[new RegExp(`^${slice}$`), /^seat-.\.scope$/]],
  identify: () => ({ name: answer(), user: undefined }),
  streams: () => [{ place: 'here', words }],
};
const follower = new Follower(root, dialect, { commandLine: async () => undefined });
let heard = 0;
follower.changes.subscribe(() => {
  heard += 1;
});
const children: ChildProcess[] = [];

/** A process that is pid 1 of a pid namespace, in the payload group, until its input ends. */
function start(): void {
  const script = `echo $$ > ${payload}/cgroup.procs && exec unshare --pid --fork --kill-child cat`;
  children.push(spawn('sh', ['-c', script], { stdio: ['pipe', 'ignore', 'inherit'] }));
}

test.after(() => {
  for (const child of children) child.kill('SIGKILL');
  follower.close();
});

test('a slice that is not there yet, a group in it, its init: each is heard of, and the container is found', async () => {
  assert.equal(follower.list(), []);
  mkdirSync(payload, { recursive: true });
  await until('word of the slice', () => heard > 0);
  assert.equal(follower.list(), []);
  const before = heard;
  start();
  await until('word of the init', () => heard > before);
  await until('the container', () => follower.list().length === 1);
  const [container] = follower.list();
  assert.is(container?.name, 'a');
  assert.is(container?.cgroup, group);
});

test('who a container is was asked once: what the engine says later of the same init changes nothing', () => {
  answer = () => {
    throw new Error('nonsense');
  };
  assert.is(follower.list()[0]?.name, 'a');
  assert.is(follower.problem, undefined);
});

test('a word of the engine is a reason to look, and to ask again who a container is', async () => {
  answer = () => 'renamed';
  let before = heard;
  words.next('word');
  assert.is(heard, before, 'nobody attends to it yet');
  follower.attend(new Set([undefined]));
  assert.ok(words.observed);
  before = heard;
  words.next('word');
  await until('a look', () => heard > before);
  assert.is(follower.list()[0]?.name, 'renamed');
  answer = () => {
    throw new Error('nonsense');
  };
  assert.is(follower.list()[0]?.name, 'renamed', 'asked without a word');
  assert.is(follower.problem, undefined);
  before = heard;
  words.next('word');
  await until('another look', () => heard > before);
  assert.is(follower.list()[0]?.name, 'renamed', 'what was known is not forgotten over nonsense');
  assert.match(follower.problem ?? '', /cannot be named: nonsense/);
  follower.attend(new Set());
  assert.not(words.observed);
});

test('its end is heard of; an engine that talks nonsense about the next one says so, and has none', async () => {
  const before = heard;
  for (const child of children) child.stdin?.end();
  await until('word of the end', () => heard > before);
  await until('no container', () => follower.list().length === 0);
  start();
  await until('the reason', () => {
    follower.list();
    return follower.problem !== undefined;
  });
  assert.match(follower.problem ?? '', /cannot be named: nonsense/);
  assert.equal(follower.list(), []);
});

test('a slice that was removed and made again is followed like the first', async () => {
  for (const child of children) child.stdin?.end();
  await until('an empty group', () => {
    try {
      rmdirSync(payload);
    } catch {
      return !existsSync(payload);
    }
    return true;
  });
  rmdirSync(group);
  rmdirSync(join(root, slice));
  mkdirSync(payload, { recursive: true });
  answer = () => 'b';
  follower.list();
  const before = heard;
  start();
  await until('word of the init', () => heard > before);
  await until('the container', () => follower.list()[0]?.name === 'b');
  for (const child of children) child.stdin?.end();
  await until('its end', () => follower.list().length === 0);
  writeFileSync(join(group, 'cgroup.kill'), '1');
  await until('the groups to go', () => {
    try {
      for (const path of [payload, group, join(root, slice)]) rmdirSync(path);
    } catch {
      return !existsSync(join(root, slice));
    }
    return true;
  });
});

test.run();
