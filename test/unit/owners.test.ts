import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { cgroupRoot, ownerOf } from '../../agent/kernel/cgroup.js';
import { reader } from '../../agent/seat/accounts.js';

const owner = (path: string): string => ownerOf(join(cgroupRoot(), path));

test('no container pays for another one, nor by groups that it makes', () => {
  assert.is(owner('docker/one/its/own'), 'docker/one');
  assert.is.not(owner('docker/one'), owner('docker/other'));
  assert.is(owner('libpod_parent/libpod-one/a'), 'libpod_parent/libpod-one');
  assert.is(owner('lxc.payload.left/a'), owner('lxc.payload.left/b'));
  assert.is(owner('user.slice/user-1000.slice/a'), 'user.slice/user-1000.slice');
});

test('a file of very many accounts takes no longer than its one line that is asked for', () => {
  const many = reader(`${'a::1\n'.repeat(200_000)}video:x:44:\n`, (id) => id);
  const began = performance.now();
  assert.is(many('video'), 44);
  assert.is(many('none'), undefined);
  assert.is(many('7'), 7);
  assert.ok(performance.now() - began < 100);
  const odd = reader('video:x\nvideo::\nvideo:x:5\nvideo:x:6\nnovideo:x:7', (id) => id);
  assert.is(odd('video'), 5);
});

test.run();
