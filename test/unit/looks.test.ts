import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execaSync } from 'execa';
import { NEVER, Subject } from 'rxjs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { refMoves } from '../../agent/active/ref-moves.js';
import { looks } from '../../agent/engines/looks.js';
import { openLocal } from '../../agent/kernel/local.js';

const long = 600_000;
const open = async (path: string): Promise<number> => openLocal(path);

async function until(what: string, check: () => boolean): Promise<void> {
  for (let tries = 0; !check(); tries++) {
    if (tries > 500) throw new Error(`not within 5 s: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

test('a ref that moves is heard of without a timer, packed or not', async () => {
  const scratch = mkdtempSync(join(tmpdir(), 'hotseat-ref-'));
  const git = (...command: string[]) =>
    execaSync('git', ['-C', scratch, '-c', 'user.name=a', '-c', 'user.email=a@b', ...command], {
      env: { GIT_CONFIG_GLOBAL: '/dev/null' },
    });
  let heard = 0;
  git('init', '-q', '-b', 'main');
  git('commit', '-q', '--allow-empty', '-m', 'first');
  const place = { policies: scratch, ref: 'refs/heads/main', signers: undefined };
  const watching = refMoves(place, long, open).subscribe(() => {
    heard += 1;
  });
  try {
    await until('the first look', () => heard === 1);
    for (const action of [
      ['commit', '-q', '--allow-empty', '-m', 'second'],
      ['pack-refs', '--all'],
      ['commit', '-q', '--allow-empty', '-m', 'third'],
    ]) {
      const before = heard;
      git(...action);
      await until(action.join(' '), () => heard > before);
    }
  } finally {
    watching.unsubscribe();
    rmSync(scratch, { recursive: true });
  }
});

test('without a ref nothing is ever looked for', () => {
  let ended = false;
  const place = { policies: '/nonexistent', ref: undefined, signers: undefined };
  refMoves(place, 1, open).subscribe({
    next: () => assert.unreachable('nothing to look at'),
    complete: () => {
      ended = true;
    },
  });
  assert.ok(ended, 'no timer is left');
});

test('a repository that is not there yet is looked for again', async () => {
  let heard = 0;
  const place = { policies: '/nonexistent', ref: 'refs/heads/main', signers: undefined };
  const watching = refMoves(place, 150, open).subscribe(() => {
    heard += 1;
  });
  await until('three looks', () => heard >= 3);
  watching.unsubscribe();
});

test('containers are looked for also when nothing tells of one', async () => {
  let heard = 0;
  const watching = looks(NEVER, 30).subscribe(() => {
    heard += 1;
  });
  await until('many looks', () => heard > 20);
  watching.unsubscribe();
});

test('a change is looked at once, and a container that it began to set up a while longer', async () => {
  const changes = new Subject<void>();
  let heard = 0;
  const watching = looks(changes, long).subscribe(() => {
    heard += 1;
  });
  await until('the first ones', () => heard >= 3);
  const before = heard;
  changes.next();
  await until('three more', () => heard >= before + 3);
  watching.unsubscribe();
});

test('looks that take long are further apart, whoever has ever so many changes', async () => {
  const changes = new Subject<void>();
  let count = 0;
  const looking = looks(changes, 60_000, () => 40).subscribe(() => {
    count += 1;
  });
  const end = performance.now() + 1000;
  while (performance.now() < end) {
    changes.next();
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  looking.unsubscribe();
  // 160 ms apart, and each looks again after 50 and 100 ms; without that, 20 ms apart.
  assert.ok(count >= 3 && count <= 30, `${count} looks`);
});

test('nor are those closer together that follow one change', async () => {
  let count = 0;
  const looking = looks(NEVER, 60_000, () => 100).subscribe(() => {
    count += 1;
  });
  await new Promise((resolve) => setTimeout(resolve, 1000));
  looking.unsubscribe();
  // At once, and 400 ms after each; by the clock alone it would be six.
  assert.ok(count >= 2 && count <= 3, `${count} looks`);
});

test.run();
