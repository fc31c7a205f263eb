import fs, {
  appendFileSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
} from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import fc from 'fast-check';
import { pino } from 'pino';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { formerTrail, Trail } from '../../agent/audit/trail.js';
import { TrailFile } from '../../agent/audit/trail-file.js';
import { compare, isFailure, recordsOf, TrailReader, type TrailRecord } from '../../agent/audit/trail-reader.js';
import { type Deed, type Outcome, onRecord } from '../../agent/core/audit.js';

const scratch = mkdtempSync(join(tmpdir(), 'hotseat-trail-'));
test.after(() => rmSync(scratch, { recursive: true }));

let files = 0;
const fresh = (): string => join(scratch, String(++files), 'audit.jsonl');
const silent = pino({ level: 'silent' });
const open = (file: string, limit?: number): Trail =>
  new Trail({ file, log: silent, revision: () => 'r1', group: undefined, ...(limit === undefined ? {} : { limit }) });
const read = (file: string, runs = (_: string): boolean => false): TrailRecord[] => {
  const reader = new TrailFile(file);
  const records = recordsOf(reader.read(), runs);
  reader.close();
  return records;
};

/** Names as a hostile device has them: newlines, quotes, half characters, escapes. */
const hostile = fc.oneof(
  fc.string({ unit: 'binary' }),
  fc.constantFrom('\n', '"}\n{"id":"x-1","at":"","end":"done","ms":1}', '\u2028', '\ud800', '\u001b[2J'),
);
const deed: fc.Arbitrary<Deed> = fc.record({
  what: fc.constantFrom('bind' as const, 'unbind' as const, 'revoke' as const, 'attach' as const),
  seat: fc.constantFrom('left', 'right'),
  device: hostile,
  name: hostile,
  nodes: fc.array(hostile, { maxLength: 2 }),
});
const outcome: fc.Arbitrary<Outcome> = fc.oneof(
  fc.constant<Outcome>({ end: 'done' }),
  fc.constant<Outcome>({ end: 'gone' }),
  hostile.map((error): Outcome => ({ end: 'failed', error })),
);
/** An action begins or ends now; an end belongs to the oldest open action. */
const acts = fc.array(fc.oneof(deed, outcome), { maxLength: 30 });

test('what is torn at any byte is read up to there, and what is written behind it is read whole', () => {
  fc.assert(
    fc.property(acts, fc.nat(), (history, cut) => {
      const file = fresh();
      const trail = open(file);
      const begun: {
        readonly deed: Deed;
        readonly close: (end: Outcome) => void;
        at: number;
        end: number;
        how?: Outcome;
      }[] = [];
      for (const act of history) {
        const oldest = begun.find(({ how }) => how === undefined);
        if ('what' in act) {
          const close = trail.open(act);
          begun.push({ deed: act, close, at: statSync(file).size, end: Number.POSITIVE_INFINITY });
        } else if (oldest !== undefined) {
          oldest.close(act);
          oldest.how = act;
          oldest.end = statSync(file).size;
        }
      }
      trail.close();
      if (begun.length === 0) return;
      const length = cut % (statSync(file).size + 1);
      truncateSync(file, length);

      // The newline alone may be missing: the record before it is whole.
      const expected = begun.filter(({ at }) => at - 1 <= length);
      const records = read(file);
      assert.is(records.length, expected.length);
      for (const [index, { deed: wanted, end, how }] of expected.entries()) {
        const record = records[index];
        assert.is(record?.what, wanted.what);
        assert.is(record?.result, end - 1 <= length ? how?.end : 'unclosed');
        assert.equal(record?.nodes, JSON.parse(JSON.stringify(wanted.nodes)));
        assert.is(record?.revision, 'r1');
        if (record?.result === 'unclosed') assert.ok(isFailure(record));
      }

      const again = open(file);
      again.open({ what: 'bind', seat: 'left', name: 'after' })({ end: 'done' });
      again.close();
      const after = read(file);
      assert.is(after.length, expected.length + 1);
      assert.ok(after.some(({ name, result }) => name === 'after' && result === 'done'));
    }),
    { numRuns: 300 },
  );
});

test('the reader comes to the same, however the text is cut into parts', () => {
  const file = fresh();
  const trail = open(file);
  const first = trail.open({ what: 'bind', seat: 'left' });
  trail.open({ what: 'unbind', seat: 'right' });
  first({ end: 'done' });
  trail.close();
  const text = readFileSync(file, 'utf8');
  const whole = new TrailReader().take(text);
  assert.is(whole.length, 1);
  fc.assert(
    fc.property(fc.array(fc.nat(text.length), { maxLength: 6 }), (cuts) => {
      const at = [0, ...cuts.sort((a, b) => a - b), text.length];
      const reader = new TrailReader();
      const found = at.slice(1).flatMap((end, index) => reader.take(text.slice(at[index], end)));
      assert.equal(found, whole);
      assert.is(reader.unclosed(() => false).length, 1);
      assert.is(reader.damaged, 0);
    }),
  );
});

test('what is no record is passed over and counted', () => {
  for (const line of ['{', 'null', '[]', '{"id":"x-1"}', '{"id":1,"at":"","begin":"bind"}', '\0\0\0']) {
    const reader = new TrailReader();
    assert.equal(reader.take(`${line}\n`), []);
    assert.is(reader.damaged, 1, line);
  }
  const orphan = new TrailReader();
  assert.equal(
    orphan.take('{"id":"x-9","at":"2026","end":"done","ms":1}\n'),
    [],
    'its beginning went with a former file',
  );
  assert.is(orphan.damaged, 0);
});

test('there are never more than two files, none beyond the limit, and the newest records are all there', () => {
  const file = fresh();
  const limit = 4000;
  const trail = open(file, limit);
  const key = '1234:5678';
  trail.open({ what: 'run', process: key });
  for (let count = 0; count < 200; count++)
    trail.open({ what: 'bind', seat: 'left', name: `n${count}` })({ end: 'done' });
  trail.open({ what: 'unbind', seat: 'left', name: 'last' });
  assert.equal(readdirSync(dirname(file)).sort(), ['audit.1.jsonl', 'audit.jsonl']);
  for (const name of [file, formerTrail(file)])
    assert.ok(statSync(name).size <= limit, `${name} ${statSync(name).size}`);
  assert.is(trail.lost, 0);
  const records = read(file, (process) => process === key);
  const names = records.filter(({ what }) => what === 'bind').map(({ name }) => name);
  assert.ok(names.length > 15);
  assert.equal(
    names,
    Array.from({ length: names.length }, (_, index) => `n${200 - names.length + index}`),
  );
  // Every file names its run: an open action is known to be under way.
  assert.equal(
    records.filter(({ result }) => result === 'open').map(({ what }) => what),
    ['run', 'unbind'],
  );
  assert.equal(read(file).filter(isFailure).length, 2, 'once that process has gone, both are failures');
  trail.close();
});

test('a trail is followed across the change of files, nothing is read twice and nothing is left out', () => {
  const file = fresh();
  const trail = open(file, 3000);
  const tail = new TrailFile(file);
  const reader = new TrailReader();
  const seen: string[] = [];
  const look = (): void => {
    for (const { name } of reader.take(tail.read())) seen.push(name ?? '');
  };
  look();
  for (let count = 0; count < 60; count++) {
    trail.open({ what: 'bind', name: String(count) })({ end: 'done' });
    if (count % 3 === 0) look();
  }
  look();
  tail.close();
  trail.close();
  assert.equal(
    seen,
    Array.from({ length: 60 }, (_, index) => String(index)),
  );
  assert.ok(existsSync(formerTrail(file)));
});

test('the first look reads the former file as well', () => {
  const file = fresh();
  const trail = open(file, 3000);
  for (let count = 0; count < 18; count++) trail.open({ what: 'bind', name: String(count) })({ end: 'done' });
  trail.close();
  assert.ok(existsSync(formerTrail(file)));
  assert.equal(
    read(file).map(({ name }) => name),
    Array.from({ length: 18 }, (_, index) => String(index)),
  );
});

test('a trail that cannot be written holds up nothing, is counted, and is written again when it can be', () => {
  const file = fresh();
  const said: string[] = [];
  const log = pino({ level: 'error' }, { write: (line: string) => void said.push(line) });
  const trail = new Trail({ file, log, revision: () => 'r1', group: undefined });
  appendFileSync(dirname(file), 'a file where the directory should be');
  trail.open({ what: 'bind' })({ end: 'done' });
  assert.is(trail.lost, 2);
  assert.is(said.length, 1, 'said once');
  rmSync(dirname(file));
  trail.open({ what: 'unbind' })({ end: 'done' });
  assert.is(trail.lost, 2);
  trail.close();
  assert.equal(
    read(file).map(({ what, result }) => [what, result]),
    [['unbind', 'done']],
  );
});

test('only its readers read it', () => {
  const file = fresh();
  const trail = open(file);
  trail.open({ what: 'run' });
  trail.close();
  assert.is(statSync(file).mode & 0o777, 0o640);
  assert.is(statSync(dirname(file)).mode & 0o777, 0o711);
});

test('what throws is its end, with all that it says', async () => {
  const ends: Outcome[] = [];
  const audit = () => (end: Outcome) => void ends.push(end);
  const refused = Object.assign(new Error('refused'), { details: ['one', 'two'] });
  let thrown: unknown;
  await onRecord(audit, { what: 'policy' }, () => Promise.reject(refused)).catch((error: unknown) => {
    thrown = error;
  });
  assert.is(thrown, refused);
  await onRecord(
    audit,
    { what: 'policy' },
    async () => 'abc',
    (took) => ({ took }),
  );
  assert.equal(ends, [
    { end: 'failed', error: 'refused; one; two' },
    { took: 'abc', end: 'done' },
  ]);
});

test('records are in order across runs', () => {
  const ids = ['z9-2', 'z9-10', '101-1', '101-9', '101-10'];
  assert.equal([...ids].reverse().sort(compare), ids);
});

test('what is written to a new file reaches the disk as what was written to the one before', async () => {
  const { fdatasync } = fs;
  let synced = 0;
  fs.fdatasync = Object.assign((() => void synced++) as unknown as typeof fdatasync, fdatasync);
  syncBuiltinESMExports();
  const file = fresh();
  const trail = open(file, 300);
  try {
    for (let count = 0; count < 3; count++) trail.open({ what: 'bind', seat: 'left' })({ end: 'done' });
    assert.ok(existsSync(formerTrail(file)));
    trail.open({ what: 'bind', seat: 'left' });
    await new Promise((resolve) => setTimeout(resolve, 1200));
    assert.is(synced, 1);
  } finally {
    fs.fdatasync = fdatasync;
    syncBuiltinESMExports();
    trail.close();
  }
});

test.run();
