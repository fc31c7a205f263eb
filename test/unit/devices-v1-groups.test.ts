import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { groups } from '../../agent/kernel/devices-v1.js';

test('of the groups that a container has made, the upper ones are gone through, and so many', () => {
  const top = mkdtempSync(join(tmpdir(), 'hotseat-'));
  try {
    mkdirSync(join(top, 'one', 'two', 'three'), { recursive: true });
    mkdirSync(join(top, 'other'));
    assert.is(groups(top).length, 5);
    assert.equal(groups(top, 3).sort(), [top, join(top, 'one'), join(top, 'other')]);
  } finally {
    rmSync(top, { recursive: true });
  }
});

test.run();
