// The bench works: each row of a very short run comes out with numbers. How large they are is nothing to a test.

import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { execa } from 'execa';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { Result } from '../bench/result.js';

const bench = join(import.meta.dirname, '../bench/native/bench.js');

test('every row of a short run has numbers', async () => {
  const file = `/var/tmp/hotseat-bench-test-${process.pid}.json`;
  const short = ['--seats', '2', '--rounds', '1', '--events', '3', '--bursts', '10', '--quiet'];
  const only = ['--only', 'plug,heard,same,look,burst,seatd'];
  try {
    const { stdout } = await execa(process.execPath, [bench, ...short, ...only, '--json', file]);
    const { rows, absent, facts }: Result = JSON.parse(readFileSync(file, 'utf8'));
    const names = new Set(rows.map(({ name }) => name));
    for (const { name } of absent) names.add(name);
    assert.equal([...names].sort(), ['burst', 'floor', 'heard', 'look', 'plug', 'same', 'seatd', 'unplug']);
    for (const { name, what, times } of rows) {
      assert.ok(
        times.count > 0 && times.p50 > 0 && times.p99 >= times.p50,
        `${name} ${what}: ${JSON.stringify(times)}`,
      );
      assert.ok(stdout.includes(what), `${what} is not in the table`);
    }
    assert.match(facts.commit, /^[0-9a-f]{12}/);
  } finally {
    rmSync(file, { force: true });
  }
});

test.run();
