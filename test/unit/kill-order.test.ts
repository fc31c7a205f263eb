import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  hasMoreThanItsPart,
  isAmple,
  keptMemory,
  memoryToShare,
  scoreBack,
  scoreFor,
  scores,
} from '../../agent/core/kill-order.js';
import { checkKilled } from '../../agent/doctor/check-killed.js';
import type { KilledFacts } from '../../agent/doctor/facts.js';

test('a value only rises, but for our own higher one', () => {
  const value = fc.integer({ min: -1000, max: 1000 });
  fc.assert(
    fc.property(value, fc.constantFrom(scores.seat, scores.first), (now, seat) => {
      const next = scoreFor(now, seat);
      assert.ok(next >= seat);
      if (next < now) assert.equal([now, next], [scores.first, scores.seat]);
      assert.is(scoreFor(next, seat), next, 'a second time it changes nothing');
    }),
  );
});

test('what a program says itself stays, also when Hotseat goes', () => {
  assert.is(scoreFor(700, scores.seat), 700);
  assert.is(scoreBack(scoreFor(700, scores.seat), -900), 700);
  assert.is(scoreBack(scoreFor(0, scores.seat), -900), -900);
  assert.is(scoreBack(scoreFor(0, scores.first), 0), 0);
});

test('a seat about at its part is not now first, now not', () => {
  assert.not.ok(hasMoreThanItsPart(100, 100, false));
  assert.ok(hasMoreThanItsPart(101, 100, false));
  assert.ok(hasMoreThanItsPart(90, 100, true));
  assert.not.ok(hasMoreThanItsPart(79, 100, true));
});

test('caches of files are nobody’s, and huge pages that are set aside are not shared', () => {
  assert.is(keptMemory('anon 1000\nfile 5000000\nkernel 7\nshmem 24\nfile_mapped 3\n', '100\n'), 1124);
  assert.is(keptMemory('', undefined), 0, 'a host that does not count');
  const meminfo = 'MemTotal:        3000 kB\nMemFree: 5 kB\nSwapTotal:       400 kB\nHugetlb:         1800 kB\n';
  assert.is(memoryToShare(meminfo), 1600 * 1024);
});

test('doctor: a seat that would end as a whole, and one that comes after the host', () => {
  const seat = (killed: Partial<KilledFacts>) => ({
    ...{ seat: 'left', container: { engine: 'nspawn', name: 'left', user: undefined } as const },
    ...{ found: { absent: 'no matter' } },
    killed: { score: scores.seat, group: undefined, stopped: undefined, ...killed },
  });
  const said = (killed: Partial<KilledFacts>, agentRuns = true): string[] =>
    checkKilled(seat(killed), agentRuns).map((one) => `${one.text} | ${'remedy' in one ? one.remedy : ''}`);
  assert.equal(said({}), []);
  assert.equal(said({ score: scores.first }), []);
  assert.match(
    said({ stopped: 'a.service', group: 'a.service' }).join('\n'),
    /OOMPolicy of a\.service .*\| OOMPolicy=continue/,
  );
  assert.match(said({ group: 'lxc.payload.left' }).join('\n'), /memory\.oom\.group of lxc\.payload\.left is 1/);
  assert.match(said({ score: 0 }).join('\n'), /oom_score_adj of its init is 0, not 500/);
  assert.equal(said({ score: 0 }, false), [], 'without an agent that is known');
});

test('memory is ample while four fifths of it are free', () => {
  const meminfo = (available: number) => `MemTotal:  1000 kB\nMemFree:  1 kB\nMemAvailable:  ${available} kB\n`;
  assert.equal([isAmple(meminfo(801)), isAmple(meminfo(800)), isAmple('')], [true, false, false]);
});

test.run();
