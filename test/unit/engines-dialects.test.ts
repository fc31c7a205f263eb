import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { dialects } from '../../agent/engines/all.js';
import { engineOnDisk } from '../../agent/engines/lxc.js';
import { nameOnDisk } from '../../agent/engines/podman-names.js';
import { userOf } from '../../agent/engines/users.js';

const id = '0123456789abcdef'.repeat(4);

/** Engines that look for containers at a path. */
function engines(path: string): string[] {
  const names = path.split('/').slice(1);
  return Object.values(dialects).flatMap(({ engine, paths }) =>
    paths.some(
      (patterns) => patterns.length === names.length && patterns.every((at, level) => at.test(names[level] ?? '')),
    )
      ? [engine]
      : [],
  );
}

test('of a very long name of a container in Podman as much is kept as anybody reads', () => {
  const identify = (name: string) =>
    dialects.podman.identify({ cgroup: '/sys/fs/cgroup/x', title: ['/usr/bin/conmon', '-n', name] })?.name;
  assert.is(identify('left'), 'left');
  assert.is(identify('x'.repeat(60_000))?.length, 128);
});

test('each engine looks where it puts its containers, and no other looks there', () => {
  assert.equal(engines('/machine.slice/systemd-nspawn@left.service'), ['nspawn']);
  assert.equal(engines('/machine.slice/machine-left.scope'), ['nspawn']);
  assert.equal(engines(`/machine.slice/libpod-${id}.scope`), ['podman']);
  assert.equal(engines(`/system.slice/left.service/libpod-payload-${id}`), ['podman']);
  assert.equal(engines(`/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-${id}.scope`), ['podman']);
  assert.equal(engines(`/system.slice/docker-${id}.scope`), ['docker']);
  assert.equal(engines(`/docker/${id}`), ['docker']);
  assert.equal(engines('/lxc.payload.left'), ['lxc', 'incus'], 'one library: told apart by the path of its monitor');
});

test('what belongs to an engine but is no container is left alone', () => {
  assert.equal(engines(`/machine.slice/libpod-conmon-${id}.scope`), []);
  assert.equal(engines('/lxc.monitor.left'), []);
  assert.equal(engines('/system.slice/docker.service'), []);
});

test('a container below a user session belongs to that user, whatever its name; the rest belongs to the system', () => {
  assert.is(userOf('/sys/fs/cgroup/user.slice/user-987654.slice/user@987654.service/user.slice/x.scope'), '987654');
  assert.is(userOf('/sys/fs/cgroup/machine.slice/x.scope'), undefined);
});

test('an escaped unit name gives back the name of the machine', () => {
  const cgroup = '/sys/fs/cgroup/machine.slice/machine-my\\x2dseat.scope';
  assert.equal(dialects.nspawn.identify({ cgroup, title: [] }), { name: 'my-seat', user: undefined });
});

test('without its monitor, a container of Podman’s is known from the lists of its storage, or is nobody’s and guarded', () => {
  const storage = mkdtempSync(join(tmpdir(), 'hotseat-storage-'));
  try {
    const lists = join(storage, 'overlay-containers');
    mkdirSync(lists);
    mkdirSync(join(storage, 'overlay'));
    assert.throws(() => nameOnDisk(id, [storage]), /its conmon has ended, and no list in .* has it/);
    const other = { id: 'f'.repeat(64), names: ['right'] };
    writeFileSync(join(lists, 'containers.json'), JSON.stringify([other]));
    assert.throws(() => nameOnDisk(id, [storage]));
    writeFileSync(join(lists, 'volatile-containers.json'), JSON.stringify([{ id }, 7, { id, names: ['left'] }]));
    assert.is(nameOnDisk(id, ['/none', storage]), 'left');
    writeFileSync(join(lists, 'containers.json'), '{');
    assert.throws(() => nameOnDisk(id, [storage]), /JSON/);
  } finally {
    rmSync(storage, { recursive: true });
  }
  assert.throws(() => dialects.podman.identify({ cgroup: `/x/machine.slice/libpod-${id}.scope`, title: [] }), /ended/);
  const users = `/x/user.slice/user-1.slice/user@1.service/app.slice/libpod-${id}.scope`;
  assert.is(dialects.podman.identify({ cgroup: users, title: [] }), undefined);
});

test('without its monitor, a container of LXC or Incus is known from their directories, if these tell', () => {
  const at = mkdtempSync(join(tmpdir(), 'hotseat-containers-'));
  const places = { lxc: [join(at, 'lxc')], incus: [join(at, 'incus'), join(at, 'snap')] };
  try {
    for (const path of ['lxc/left', 'lxc/both', 'incus/both', 'snap/right', 'lxc/web-2'])
      mkdirSync(join(at, path), { recursive: true });
    assert.equal(
      ['left', 'right', 'web-2'].map((name) => engineOnDisk(name, places)),
      ['lxc', 'incus', 'lxc'],
    );
    for (const name of ['both', 'nobody', 'left-1', 'right-1'])
      assert.throws(() => engineOnDisk(name, places), /has ended/, name);
    mkdirSync(join(at, 'lxc/left-1'));
    assert.throws(() => engineOnDisk('left-1', places), /do not tell which one it is/, 'it may be a second `left`');
  } finally {
    rmSync(at, { recursive: true });
  }
  for (const engine of ['lxc', 'incus'] as const)
    assert.throws(() => dialects[engine].identify({ cgroup: `/x/lxc.payload.${id}`, title: [] }), /monitor has ended/);
});

test.run();
