// A container's lists of accounts are files that it can put anything in the place of.

import { type ChildProcess, spawn } from 'node:child_process';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Namespaces } from '../../agent/kernel/namespaces.js';
import { accountsOf } from '../../agent/seat/accounts.js';
import { childrenOf } from './children-of.js';
import { refTo } from './ref-to.js';

const namespaces = new Namespaces();
const children: ChildProcess[] = [];

/** The init of a container of an ordinary user's, after its root has done something to its mounts. */
async function container(act: string): Promise<number> {
  const options = [
    '--user',
    '--map-root-user',
    '--mount',
    '--pid',
    '--fork',
    '--mount-proc',
    '--propagation',
    'private',
  ];
  const script = `mount -t tmpfs scratch /mnt && ${act} && echo up && exec sleep 120`;
  const child = spawn('unshare', [...options, '--kill-child', 'sh', '-c', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
    ...{ uid: 65_534, gid: 65_534 },
  });
  children.push(child);
  await new Promise((resolve) => child.stdout.once('data', resolve));
  return childrenOf(child.pid)[0] ?? 0;
}

test.before(() => namespaces.start());

for (const [what, act] of [
  ['/proc/1/pagemap, whose size is 0 and which yields 256 GiB', 'mount --bind /proc/1/pagemap /etc/passwd'],
  ['a sparse file of a terabyte', 'truncate -s 1T /mnt/big && mount --bind /mnt/big /etc/passwd'],
  ['a fifo that nobody writes to', 'mkfifo /mnt/fifo && mount --bind /mnt/fifo /etc/passwd'],
  ['/dev/zero', 'mount --bind /dev/zero /etc/passwd'],
] as const) {
  test(`${what}, in the place of /etc/passwd: refused at once, and little is read`, async () => {
    const init = await container(act);
    const before = process.memoryUsage.rss();
    const started = performance.now();
    const answer = await accountsOf(namespaces, refTo(init)).then(
      () => 'accounts',
      (error: Error) => error.message,
    );
    const ms = performance.now() - started;
    assert.match(answer, /\/etc\/passwd is no plain file of at most 1048576 bytes/);
    console.log(`${what}: ${ms.toFixed(0)} ms`);
    assert.ok(ms < 2000);
    assert.ok(process.memoryUsage.rss() - before < 64 * 2 ** 20);
  });
}

test('an ordinary one is read', async () => {
  const init = await container("printf 'anna:x:0:0:::\\n' > /mnt/passwd && mount --bind /mnt/passwd /etc/passwd");
  assert.is((await accountsOf(namespaces, refTo(init))).user('anna'), 65_534);
});

test.after(() => {
  for (const child of children) child.kill('SIGKILL');
  namespaces.close();
});
test.run();
