import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { dialects } from '../../agent/engines/all.js';
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

test.run();
