import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { execaSync } from 'execa';
import { pino } from 'pino';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Trail } from '../../agent/audit/trail.js';
import { TrailReader } from '../../agent/audit/trail-reader.js';
import { unshared } from './unshared.js';

unshared(import.meta.url);

// A disk that is full in earnest: a file system of a few pages.
execaSync('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'tmpfs', '/mnt']);
mkdirSync('/mnt/trail');
const file = '/mnt/trail/audit.jsonl';

test('a full disk tears a line at most, and all that is written once there is room is read', () => {
  const said: string[] = [];
  const log = pino({ level: 'error' }, { write: (line: string) => void said.push(line) });
  const trail = new Trail({ file, log, revision: () => 'r1', group: undefined });
  trail.open({ what: 'bind', name: 'before' })({ end: 'done' });
  // Up to the middle of a page, so that a write can be done in part.
  const room = Number(execaSync('df', ['--output=avail', '--block-size=1', '/mnt']).stdout.split('\n')[1]);
  writeFileSync('/mnt/ballast', Buffer.alloc(room));
  for (let count = 0; count < 40; count++) trail.open({ what: 'bind', name: 'x'.repeat(300) })({ end: 'done' });
  assert.ok(trail.lost > 0);
  assert.is(said.length, 1, 'said once');
  assert.match(trail.problem ?? '', /part of a line|ENOSPC/, 'status says so');
  assert.not.ok(readFileSync(file, 'utf8').endsWith('\n'), 'the last line is torn');
  rmSync('/mnt/ballast');
  trail.open({ what: 'unbind', name: 'after' })({ end: 'done' });
  assert.is(trail.problem, undefined);
  trail.close();
  const reader = new TrailReader();
  const records = reader.take(readFileSync(file, 'utf8'));
  assert.is(reader.damaged, 1);
  assert.is(records[0]?.name, 'before');
  assert.equal([records.at(-1)?.name, records.at(-1)?.result], ['after', 'done']);
});

test.run();
