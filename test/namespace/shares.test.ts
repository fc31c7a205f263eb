// Shares in real groups. Where cpu, memory, io and pids are controllers of cgroups v1, as on a hybrid host, the unified
// hierarchy divides none of them; writes by descriptors are then shown with its own files.

import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type Resource, resourceNames } from '../../agent/core/policy.js';
import type { Container } from '../../agent/engines/engine.js';
import { cgroupRoot } from '../../agent/kernel/cgroup.js';
import { readGroup, writeGroup } from '../../agent/kernel/group-files.js';
import { Namespaces } from '../../agent/kernel/namespaces.js';
import { processKey } from '../../agent/kernel/process-key.js';
import { readOptional } from '../../agent/kernel/read.js';
import { RecordFile } from '../../agent/kernel/record-file.js';
import { parseSeat } from '../../agent/policy/parse.js';
import { isFormer, isScore } from '../../agent/shares/former.js';
import { available } from '../../agent/shares/host.js';
import { ShareKeeper } from '../../agent/shares/share-keeper.js';
import { unshared } from './unshared.js';

unshared(import.meta.url, '--net');

const root = cgroupRoot();
const name = `hotseat-shares-${process.pid}`;
const group = join(root, name);
const inner = join(group, 'lxc.payload.left');
const scratch = mkdtempSync(join(tmpdir(), 'hotseat-shares-'));
const namespaces = new Namespaces();
const log = pino({ level: 'silent' });
let init: ChildProcess;

const idOf = (path: string): bigint => statSync(path, { bigint: true }).ino;
const read = (file: string): string => readFileSync(join(inner, file), 'utf8').trim();
/** A file that every group has, with any controllers: a bound on the depth of groups below it (cgroup-v2.rst). */
const bound = 'cgroup.max.depth';

test.before(() => {
  mkdirSync(inner, { recursive: true });
  init = spawn('sleep', ['600'], { stdio: 'ignore' });
  writeFileSync(join(inner, 'cgroup.procs'), String(init.pid));
});

test.after(async () => {
  namespaces.close();
  const ended = new Promise((resolve) => init.once('exit', resolve));
  init.kill('SIGKILL');
  await ended;
  rmdirSync(inner);
  rmdirSync(group);
  rmSync(scratch, { recursive: true });
});

const container = (): Container => {
  const pid = init.pid ?? 0;
  return {
    ...{ engine: 'lxc', name: 'left', user: undefined, pid, key: processKey(pid) ?? '', cgroup: inner },
    ...{ uid: 0, gid: 0, state: 'running', rooted: true, openable: true },
  };
};

test('a group is written by descriptors, in a helper process', async () => {
  const path = `${name}/lxc.payload.left`;
  await namespaces.writeGroup(container(), {
    ...{ root, group: { path, id: idOf(inner) }, above: [], controllers: [] },
    files: [
      [bound, '3'],
      ['there.is.none', '1'],
    ],
  });
  assert.is(read(bound), '3');
  assert.is(readGroup(root, path, [bound])?.texts.get(bound), '3\n');
});

test('another group that has got the same path since is left alone', () => {
  const path = `${name}/other`;
  const other = join(group, 'other');
  mkdirSync(other);
  const former = { path, id: idOf(other) };
  rmdirSync(other);
  mkdirSync(other);
  try {
    const write = { root, group: former, above: [], controllers: [], files: [[bound, '2']] as const };
    assert.throws(() => writeGroup(write), /has gone/);
    assert.is(readFileSync(join(other, bound), 'utf8').trim(), 'max');
  } finally {
    rmdirSync(other);
  }
  assert.throws(() => writeGroup({ root, group: former, above: [], controllers: [], files: [] }), /has gone/);
});

test('no path leads out of the hierarchy', () => {
  for (const path of ['../../../../etc', `${name}/../../..`, '/etc']) {
    assert.throws(() => readGroup(root, path, ['passwd']), /EXDEV/, path);
  }
});

test('what the kernel refuses is said, with the file', () => {
  const path = `${name}/lxc.payload.left`;
  const write = { root, group: { path, id: idOf(inner) }, above: [], controllers: [] };
  assert.throws(
    () => writeGroup({ ...write, files: [[bound, 'many']] }),
    new RegExp(`^Error: ${bound}: EINVAL|${bound}`),
  );
});

test('controllers are put on in the groups above, as far as they have them', () => {
  const there = (readOptional(join(root, 'cgroup.subtree_control')) ?? '').trim().split(' ');
  const path = `${name}/lxc.payload.left`;
  // A controller that the root gives already: nothing of the machine's own is changed here.
  const [controller] = there.filter((one) => one !== '');
  const write = { root, group: { path, id: idOf(inner) }, files: [] };
  writeGroup({
    ...write,
    above: [name],
    controllers: ['none-such', ...(controller === undefined ? [] : [controller])],
  });
  const on = readFileSync(join(group, 'cgroup.subtree_control'), 'utf8').trim();
  assert.is(on, controller ?? '');
});

const policyOf = (resources: string) => {
  const text = `seat: left\ncontainer: { engine: lxc, name: left }\nresources: ${resources}\ndevices: []\n`;
  const parsed = parseSeat('left.yaml', text);
  assert.ok('seat' in parsed);
  return { seats: [parsed.seat] };
};
const record = () => new RecordFile(join(scratch, 'shares.json'), isFormer);
const former = () => new RecordFile(join(scratch, 'scores.json'), isScore);

test('a seat says what it cannot have here, and how long its processes have waited', async () => {
  const missing: Resource[] = resourceNames.filter((one) => !available(root).has(one));
  const keeper = new ShareKeeper({ root, log, namespaces, record: record(), scores: former() });
  keeper.populate([container()]);
  keeper.adopt(policyOf('{ cpu: 200, memory: 1G, io: 50, pids: 700 }'));
  await keeper.run();
  const shares = keeper.of('left');
  assert.is(shares?.group, `${name}/lxc.payload.left`);
  for (const one of missing) assert.match(shares?.problem ?? '', new RegExp(`${one} cannot be divided`));
  for (const { name: one, amount } of shares?.resources ?? [])
    if (!missing.includes(one)) assert.is(amount, { cpu: '200', memory: String(2 ** 30), io: '50', pids: '700' }[one]);
  if (readOptional('/proc/pressure/cpu') !== undefined) {
    assert.equal(Object.keys(shares?.pressure ?? {}).sort(), ['cpu', 'io', 'memory']);
    assert.ok((shares?.pressure.cpu?.someSeconds ?? -1) >= 0);
  }
  // A seat that asks for nothing has no problem with a host that divides nothing.
  keeper.adopt(policyOf('{}'));
  await keeper.run();
  assert.is(keeper.of('left')?.problem, undefined);
  await keeper.putBack();
  assert.equal([...record().read()], []);
  keeper.close();
});

test('what was there before is put back by the next agent, if it is still the same group', async () => {
  const id = String(idOf(inner));
  const place = { kind: 'group' as const, group: `${name}/lxc.payload.left` };
  // An agent has ended in the middle of its work: its possible writes are on record.
  record().write(
    new Map([
      [`group ${place.group}`, { place, id, kept: [], amounts: { pids: 'max' } }],
      ['group gone', { place: { kind: 'group' as const, group: 'gone' }, id: '1', kept: [], amounts: { cpu: '100' } }],
    ]),
  );
  const keeper = new ShareKeeper({ root, log, namespaces, record: record(), scores: former() });
  keeper.populate([container()]);
  await keeper.putBack();
  assert.equal([...record().read()], []);
  if (available(root).has('pids')) assert.is(read('pids.max'), 'max');
  keeper.close();
});

test.run();
