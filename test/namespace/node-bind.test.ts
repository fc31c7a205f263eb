import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { NodeSpec } from '../../agent/core/step.js';
import { makeNode, openAt, removeAt, unlinkAt } from '../../agent/kernel/fs.js';
import { mountPoints, mountTmpfs, openTree, setReadOnly } from '../../agent/kernel/mount.js';
import { Namespaces } from '../../agent/kernel/namespaces.js';
import type { ProcessRef } from '../../agent/kernel/process-key.js';
import { ShownNodes } from '../../agent/seat/shown.js';
import { refTo } from './ref-to.js';
import { unshared } from './unshared.js';

unshared(import.meta.url);

// /dev/null (1:3) stands in for a raw node: it exists everywhere, and opens when it may be opened at all.
const node: NodeSpec = {
  class: 'hidraw',
  name: 'hidraw0',
  number: { major: 1, minor: 3 },
  uid: 0,
  gid: 0,
  mode: 0o666,
};
const namespaces = new Namespaces();
const seat = mkdtempSync('/tmp/hotseat-node-bind-');
const children: ChildProcess[] = [];
/** The host id of an unprivileged container's root. */
const shifted = 1_000_000;
const nodes = join(seat, 'dev/hidraw');

/** A container with a /dev of its own, which its user namespace mounted if it has one. */
async function container(mapped: boolean): Promise<ProcessRef & { uid: number; gid: number }> {
  const options = [...(mapped ? ['--user'] : []), '--mount', '--propagation', 'private'];
  const child = spawn('unshare', [...options, 'sh', '-c', 'echo up; exec sleep 600'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  children.push(child);
  await new Promise((resolve) => child.stdout.once('data', resolve));
  const pid = child.pid ?? 0;
  if (mapped) {
    for (const map of ['uid_map', 'gid_map']) writeFileSync(`/proc/${pid}/${map}`, `0 ${shifted} 65536\n`);
  }
  const uid = mapped ? shifted : 0;
  inside(pid, mapped, 'mount -t tmpfs -o mode=755 dev /dev');
  return { ...refTo(pid), uid, gid: uid };
}

function inside(pid: number, mapped: boolean, script: string): string {
  const user = mapped ? ['--user', '--setuid', '0', '--setgid', '0'] : [];
  return execFileSync('nsenter', [...user, '--mount', '--target', String(pid), '--', 'sh', '-ec', script], {
    encoding: 'utf8',
  }).trim();
}

function make(): void {
  const directory = openAt(undefined, nodes);
  makeNode(directory, node.name, { ...node.number, uid: 0, gid: 0, mode: 0o666 });
}

function tree(): number {
  const made = openTree(join(nodes, node.name));
  setReadOnly(made);
  return made;
}

const mountsAt = (pid: number) => mountPoints(pid).filter(({ target }) => target === '/dev/hidraw0').length;
const below = (pid: number) => `/proc/${pid}/root/dev/hidraw0`;
const failure = (promise: Promise<unknown>) => promise.then(String, (error: Error) => error.message);

test.before(async () => {
  mountTmpfs(seat, { size: '1m', inodes: 50, mode: 0o755 });
  mkdirSync(nodes, { recursive: true });
  make();
  await namespaces.start();
});
test.after(() => {
  for (const child of children) child.kill('SIGKILL');
  namespaces.close();
});

for (const mapped of [false, true]) {
  const kind = mapped ? 'an unprivileged' : 'a privileged';

  test(`a node is shown in ${kind} container's own /dev, opens there, and leaves nothing behind`, async () => {
    const made = await container(mapped);
    const shown = new ShownNodes(made, namespaces, seat);
    assert.is(shown.now, undefined);
    await shown.look();
    const { placeholder, covers } = await shown.show(node, tree(), undefined);
    assert.is(covers, undefined);
    assert.equal([...(shown.now ?? [])], ['hidraw0']);
    assert.is(
      inside(made.pid, mapped, 'stat -c "%F %t:%T" /dev/hidraw0; echo x > /dev/hidraw0'),
      'character special file 1:3',
    );
    assert.throws(() => inside(made.pid, mapped, 'chmod 600 /dev/hidraw0 2>/dev/null'));
    assert.not.ok(
      mountPoints('self').some(({ target }) => target === '/dev/hidraw0'),
      'the host does not see it',
    );
    const later = new ShownNodes(made, namespaces, seat);
    await later.look();
    assert.equal([...(later.now ?? [])], ['hidraw0'], 'another agent finds it');
    await later.hide('hidraw0', placeholder);
    assert.is(mountsAt(made.pid), 0);
    assert.not.ok(existsSync(below(made.pid)));
  });
}

test('the file that is made belongs to the container’s root, and nobody can read it', async () => {
  const made = await container(true);
  const shown = new ShownNodes(made, namespaces, seat);
  await shown.look();
  const { placeholder } = await shown.show(node, tree(), undefined);
  inside(made.pid, true, 'umount /dev/hidraw0');
  const { uid, gid, mode, size, ino } = statSync(below(made.pid));
  assert.equal([uid, gid, mode & 0o7777, size, String(ino)], [shifted, shifted, 0, 0, placeholder?.inode]);
  await shown.look();
  assert.equal([...(shown.now ?? [])], [], 'that it is gone is seen');
  const again = await shown.show(node, tree(), placeholder);
  assert.equal(again.placeholder, placeholder, 'the file of the first time is still ours');
});

test('a node that was made again takes the place of the one before it', async () => {
  const made = await container(false);
  const shown = new ShownNodes(made, namespaces, seat);
  await shown.look();
  const { placeholder } = await shown.show(node, tree(), undefined);
  make();
  await shown.look();
  assert.equal([...(shown.now ?? [])], [], 'what is shown is no longer the node');
  assert.equal((await shown.show(node, tree(), placeholder)).placeholder, placeholder);
  assert.is(mountsAt(made.pid), 1);
  assert.is(statSync(below(made.pid)).ino, statSync(join(nodes, node.name)).ino);
});

test('what is not ours is not removed: another file, one that was written to, a mount of the container’s', async () => {
  const made = await container(false);
  const shown = new ShownNodes(made, namespaces, seat);
  await shown.look();
  const { placeholder } = await shown.show(node, tree(), undefined);
  inside(made.pid, false, 'umount /dev/hidraw0; echo mine > /dev/hidraw0');
  await shown.hide('hidraw0', placeholder);
  assert.is(readFileSync(below(made.pid), 'utf8'), 'mine\n');
  inside(made.pid, false, 'rm /dev/hidraw0; touch /dev/other /dev/hidraw0');
  await shown.hide('hidraw0', placeholder);
  assert.ok(existsSync(below(made.pid)), 'an empty file of another inode');
  inside(made.pid, false, 'mount --bind /dev/other /dev/hidraw0');
  await shown.hide('hidraw0', placeholder);
  assert.is(mountsAt(made.pid), 1);
});

test('what stands there already is said, and comes to light again', async () => {
  const made = await container(false);
  const shown = new ShownNodes(made, namespaces, seat);
  await shown.look();
  inside(made.pid, false, 'mknod /dev/hidraw0 c 1 5');
  const { placeholder, covers } = await shown.show(node, tree(), undefined);
  assert.is(covers, 'a device node');
  assert.is(placeholder, undefined);
  assert.is(inside(made.pid, false, 'stat -c %T /dev/hidraw0'), '3');
  await shown.hide('hidraw0', placeholder);
  assert.is(inside(made.pid, false, 'stat -c %T /dev/hidraw0'), '5');
});

test('no link of the container’s is followed, and no directory is covered', async () => {
  const made = await container(false);
  const shown = new ShownNodes(made, namespaces, seat);
  await shown.look();
  inside(made.pid, false, 'touch /dev/victim; ln -s victim /dev/hidraw0');
  assert.match(await failure(shown.show(node, tree(), undefined)), /neither a node nor a file/);
  inside(made.pid, false, 'rm /dev/hidraw0; mkdir /dev/hidraw0');
  assert.match(await failure(shown.show(node, tree(), undefined)), /neither a node nor a file/);
  assert.is(inside(made.pid, false, 'stat -c "%F %s" /dev/victim'), 'regular empty file 0');
  assert.equal([...(shown.now ?? [])], []);
});

test('what is removed in a container is never a directory, whatever took the place of the file meanwhile', () => {
  mkdirSync(join(seat, 'swapped/shared'), { recursive: true });
  writeFileSync(join(seat, 'swapped/shared/file'), 'of somebody else');
  const directory = openAt(undefined, seat);
  assert.throws(() => unlinkAt(directory, 'swapped'), /EISDIR/);
  assert.ok(existsSync(join(seat, 'swapped/shared/file')));
  removeAt(directory, 'swapped');
  assert.not.ok(existsSync(join(seat, 'swapped')), 'in a directory of ours it is');
});

test.run();
