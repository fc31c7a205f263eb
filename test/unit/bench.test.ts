import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Collector } from '../bench/collect.js';
import { arrivals, burstOf, removals, waysOf } from '../bench/lab/timeline.js';
import { casesOf } from '../bench/native/cases.js';
import { optionsOf } from '../bench/options.js';
import { plot } from '../bench/plot.js';
import type { Result } from '../bench/result.js';
import { percentile, summary } from '../bench/statistics.js';
import { tableText } from '../bench/table.js';

test('a percentile is a time that was measured, by the nearest rank', () => {
  const hundred = Array.from({ length: 100 }, (_, index) => index + 1);
  assert.is(percentile(hundred, 50), 50);
  assert.is(percentile(hundred, 99), 99);
  assert.is(percentile([7], 50), 7);
  assert.is(percentile([1, 2], 50), 1);
  assert.is(percentile([1, 2], 99), 2);
  assert.throws(() => percentile([], 50), 'no times');
});

test('the first after each start is told apart; of several starts it is the median', () => {
  const runs = [
    [9, 2, 1],
    [8, 3, 4],
    [70, 2, 2],
  ];
  assert.equal(summary(runs, { isStart: true }), { count: 6, p50: 2, p99: 4, first: 9 });
  assert.equal(summary(runs), { count: 9, p50: 3, p99: 70 });
  assert.equal(summary([[5]], { isStart: true }), { count: 1, p50: 5, p99: 5, first: 5 });
});

const facts: Result['facts'] = {
  ...{
    at: '2020-01-01',
    commit: 'c0ffee',
    base: 'main',
    machine: 'a PC',
    cores: 2,
    memoryMB: 1,
    load: 0,
    nice: 0,
    kernel: '6',
  },
  versions: { node: '20' },
};

test('a table has ratios to the floor and to the base, and says what is not there', () => {
  const to = new Collector();
  const size = { seats: 2, rules: 32, plugged: 0 };
  to.add({ name: 'floor', what: 'plug', column: 'floor' }, [0.5]);
  to.add({ name: 'plug', what: 'plug', column: 'own', size }, [1]);
  to.add({ name: 'plug', what: 'plug', column: 'base', size }, [4]);
  to.add({ name: 'peers', what: 'a script', column: 'peer', beside: 'plug' }, [8]);
  const absent = [{ name: 'peers', what: 'lxc-device', reason: 'lxc is not installed' }];
  const lines = tableText({ bench: 'native', facts, rows: to.rows(), absent }).split('\n');
  assert.match(lines.find((line) => line.startsWith('plug')) ?? '', /1\.00 .* 2\.00× +2\.00× +4\.00 +0\.250×$/);
  assert.match(lines.find((line) => line.includes('a script')) ?? '', /8\.00×$/);
  assert.is(lines.filter((line) => line.includes('2 seats')).length, 1, 'the base stands beside it');
  assert.ok(lines.some((line) => line.includes('lxc-device: not measured, lxc is not installed')));
});

test('a plot is one picture with a line for each series', () => {
  const svg = plot('a < b', 'rules', [
    {
      name: 'one',
      points: [
        [16, 0.5],
        [1024, 11],
      ],
    },
    {
      name: 'two',
      points: [
        [16, 0.1],
        [1024, 0.1],
      ],
    },
  ]);
  assert.is([...svg.matchAll(/<polyline/g)].length, 2);
  assert.ok(svg.includes('a &lt; b'));
  assert.not.match(svg, /NaN|Infinity/);
  assert.throws(() => plot('', '', []), 'nothing to draw');
});

test('options that cannot be are said, with what there is', () => {
  const rows = { plug: 'a plug', look: 'a look' };
  const of = (...words: string[]) => optionsOf('npm run bench', words, rows);
  assert.throws(() => of('--only', 'plugs'), '--only plugs: no such row; there are plug, look');
  assert.throws(() => of('--seats', '2,65'), '--seats 65: not a whole number from 1 to 64');
  assert.throws(() => of('--event', '3'), 'npm run bench --help');
  const help = of('--help');
  assert.ok('help' in help && help.help.includes('a plug') && help.help.includes('--base REV'));
});

test('an option that a bench does not have is refused, and not in its help', () => {
  const without = ['idle'] as const;
  assert.throws(() => optionsOf('npm run bench:lab', ['--idle', '3'], {}, { without }), 'bench:lab has no --idle');
  const help = optionsOf('npm run bench:lab', ['-h'], { plug: '' }, { without, events: 20 });
  assert.ok('help' in help && !help.help.includes('--idle') && help.help.includes('(20)'));
});

test('what a probe prints becomes the ways of devices, also when a name is given again', () => {
  const first = ['kernel-add event5 1000', 'udev-add event5 3000', 'opened event5 4500'];
  const gone = ['kernel-remove event5 9000', 'told event5 9900', 'udev-remove event5 9400'];
  const again = ['kernel-add event5 20000', 'opened event5 24000', 'udev-add event5 21000'];
  const ways = waysOf(['ready - 1', ...first, ...gone, ...again, ''].join('\n'));
  assert.equal(arrivals(ways), { all: [3.5, 4], udevd: [2, 1], rest: [1.5, 3] });
  assert.equal(removals(ways), { all: [0.9], udevd: [0.4], rest: [0.5] });
  assert.equal(burstOf(ways), { udevd: 20, half: 3.5, last: 23 });
  assert.throws(() => waysOf('refused event5 1'), 'could not be opened');
  assert.throws(() => waysOf('kernel-add event5 1\nopened event5 2'), 'before it was heard of');
});

test('what is asked for is measured, and nothing else', () => {
  const options = { only: [], seats: [1, 2, 8, 64], bursts: [50], events: 200, rounds: 5 };
  const asks = (only: string[]) =>
    new Set(casesOf({ ...options, only }).flatMap((one) => one.asks.map(({ ask }) => ask)));
  assert.equal(asks(['burst']), new Set(['burst']));
  assert.equal(asks(['unplug']), new Set(['unit']));
  assert.equal(asks(['idle']), new Set());
  assert.equal(asks([]), new Set(['unit', 'same', 'heard', 'look', 'burst']));
  const sizes = casesOf(options).map(({ size }) => `${size.seats} ${size.plugged}`);
  assert.ok(sizes.includes('64 1000') && sizes.includes('1 0'));
});

test.run();
