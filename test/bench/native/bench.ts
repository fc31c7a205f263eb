// `npm run bench`: what one event costs on this machine, beside the same system calls from a native program and, with
// --base, another commit. As root; everything is made in namespaces, and removed.

import { join } from 'node:path';
import { execa } from 'execa';
import { programPath } from '../../../agent/engines/programs.js';
import { checkout } from '../../lab/driver/paths.js';
import type { Base } from '../base.js';
import { Collector } from '../collect.js';
import { factsOf } from '../facts.js';
import { type Options, optionsOf } from '../options.js';
import { plot } from '../plot.js';
import { program, write } from '../program.js';
import type { Say } from '../progress.js';
import type { Absence, Result } from '../result.js';
import { compiled } from './floor.js';
import { growth } from './growth.js';
import type { Idle } from './idle.js';
import { measureAgents, type Tree } from './measure.js';
import type { Peers } from './peers.js';
import { rows } from './rows.js';
import type { SeatServer } from './seat-server.js';

async function measure(options: Options, base: Base | undefined, say: Say): Promise<Result> {
  const wants = (name: keyof typeof rows): boolean => options.only.length === 0 || options.only.includes(name);
  const facts = await factsOf(checkout, base?.name, ['cc']);
  const to = new Collector();
  const absent: Absence[] = [];
  const trees: Tree[] = [
    { column: 'own', path: checkout },
    ...(base === undefined ? [] : [{ column: 'base', path: base.tree } as const]),
  ];
  const built = await compiled('native/floor.c');
  if (built === undefined)
    absent.push({ name: 'floor', what: 'plug and unplug', reason: 'there is no C compiler (cc)' });
  try {
    await measureAgents(options, trees, built, to, say);
  } finally {
    built?.remove();
  }
  if (wants('idle') && options.idle > 0) for (const tree of trees) await measureIdle(options, tree, to, absent, say);
  if (wants('seatd')) await measureSeatServer(options, trees, to, absent, say);
  if (wants('peers')) await measurePeers(options, to, absent, say);
  return { bench: 'native', facts, rows: to.rows(), absent };
}

async function measureIdle(
  options: Options,
  { column, path }: Tree,
  to: Collector,
  absent: Absence[],
  say: Say,
): Promise<void> {
  say(`idle, ${column}, for ${options.idle} s`);
  const measuring = join(path, 'dist/test/bench/native/idle.js');
  const ran = await execa(process.execPath, [measuring, String(options.idle)], { stdin: 'ignore', reject: false });
  if (ran.failed) {
    absent.push({ name: 'idle', what: `the agent at rest, ${column}`, reason: reasonOf(ran) });
    return;
  }
  const { wakeups, memory, processes } = JSON.parse(ran.stdout) as Idle;
  to.add({ name: 'idle', what: 'wake-ups of all threads', column, unit: '1/s' }, [wakeups]);
  to.add({ name: 'idle', what: 'memory of all processes', column, unit: 'MB' }, [memory]);
  for (const one of processes)
    to.add({ name: 'idle', what: `of it ${one.name} alone`, column, unit: 'MB' }, [one.memory]);
}

/** In each round the trees and the floor take turns, as with plugs. */
async function measureSeatServer(
  options: Options,
  trees: readonly Tree[],
  to: Collector,
  absent: Absence[],
  say: Say,
): Promise<void> {
  const row = { name: 'seatd', what: 'a device opened at the socket' };
  const built = await compiled('native/seatd.c');
  if (built === undefined) return void absent.push({ ...row, reason: 'there is no C compiler (cc)' });
  try {
    for (let round = 1; round <= options.rounds; round++) {
      for (const { column, path } of trees) {
        say(`seat server, ${column}, round ${round} of ${options.rounds}`);
        const measuring = join(path, 'dist/test/bench/native/seat-server.js');
        const words = [measuring, String(options.events), built.program];
        const ran = await execa(process.execPath, words, { stdin: 'ignore', reject: false });
        if (ran.failed) return void absent.push({ ...row, what: `${row.what}, ${column}`, reason: reasonOf(ran) });
        const { opened, floor } = JSON.parse(ran.stdout) as SeatServer;
        to.add({ ...row, column }, opened, { isStart: true });
        to.add({ ...row, column: 'floor' }, floor, { isStart: true });
      }
    }
  } finally {
    built.remove();
  }
}

/** The reason of a program that did not come to its end: the first error that it prints. */
const reasonOf = ({
  stderr,
  shortMessage = 'it failed',
}: {
  stderr: string;
  shortMessage?: string | undefined;
}): string => /Error: (.*)/.exec(stderr)?.[1] ?? shortMessage;

/** Other ways to do it, with the engines that are installed here; Docker and Incus are measured in the lab. */
async function measurePeers(options: Options, to: Collector, absent: Absence[], say: Say): Promise<void> {
  say('peers');
  const refuse = (reason: string) => absent.push({ name: 'peers', what: 'lxc-device and lxc-attach', reason });
  if (programPath('lxc-device') === undefined) return void refuse('LXC is not installed');
  const built = await compiled('lab/say.c');
  if (built === undefined) return void refuse('there is no C compiler (cc)');
  const measuring = join(checkout, 'dist/test/bench/native/peers.js');
  const count = String(Math.min(options.events, 50));
  const ran = await execa(process.execPath, [measuring, count, built.program], { stdin: 'ignore', reject: false });
  built.remove();
  if (ran.failed) return void refuse(reasonOf(ran));
  for (const { what, times } of JSON.parse(ran.stdout) as Peers)
    to.add({ name: 'peers', what, column: 'peer', beside: 'from a datagram' }, times);
}

await program(
  () => {
    const options = optionsOf('npm run bench', process.argv.slice(2), rows);
    if (!('help' in options) && process.getuid?.() !== 0)
      throw new Error('as root: it makes namespaces, control groups and device nodes');
    return options;
  },
  measure,
  (result, options) => {
    const series = growth(result.rows);
    if (options.plot === undefined || series.length === 0) return;
    const title = 'one keyboard until nothing is left to be done, median';
    write(options.plot, plot(title, 'seats, and keyboards that are plugged at them, together', series));
  },
);
