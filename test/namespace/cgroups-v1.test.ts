import { execaSync } from 'execa';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { hotseat } from '../unit/hotseat.js';
import { unshared } from './unshared.js';

// A PC that boots with cgroups v1 alone, as far as a mount namespace can show one.
unshared(import.meta.url, '--net');

const reason =
  'nothing can be granted safely: no cgroup2 hierarchy is mounted; boot with systemd.unified_cgroup_hierarchy=1';

test.before(() => {
  // Mounts over it, such as a bpf file system, do not matter here.
  execaSync('umount', ['--lazy', '--all', '--types', 'cgroup2']);
  execaSync('mount', ['-t', 'tmpfs', 'tmpfs', '/run']);
});

test('the agent does not start there, and says why and what to do', async () => {
  const { stderr, exitCode } = await hotseat('run');
  assert.is(stderr, `hotseat: ${reason}`);
  assert.is(exitCode, 2);
});

test('status says the same, and not to start it', async () => {
  const { stderr, exitCode } = await hotseat('status');
  assert.is(stderr, `hotseat: ${reason}`);
  assert.is(exitCode, 2);
});

test('doctor calls it a problem, with the remedy', async () => {
  const { stdout, exitCode } = await hotseat('doctor');
  assert.match(stdout, /nothing can be granted safely: there is no cgroup2 hierarchy/);
  assert.match(stdout, /boot with systemd\.unified_cgroup_hierarchy=1/);
  assert.is(exitCode, 1);
});

test.run();
