// Measures agents in turns: of this tree, and of the base where there is one.

import { resolve } from 'node:path';
import type { Collector } from '../collect.js';
import type { Options } from '../options.js';
import type { Say } from '../progress.js';
import { type Column, type Size, sizeText } from '../result.js';
import { type Case, casesOf, decided } from './cases.js';
import { Measured } from './client.js';
import { type Built, floor } from './floor.js';

/** A built checkout, and whose column its times go to. */
export interface Tree {
  readonly column: Extract<Column, 'own' | 'base'>;
  readonly path: string;
}

/** In each round the trees and the floor take turns, so that what the machine does meanwhile is the same for all. */
export async function measureAgents(
  options: Options,
  trees: readonly Tree[],
  built: Built | undefined,
  to: Collector,
  say: Say,
): Promise<void> {
  for (const one of casesOf(options)) {
    const hasFloor = one.asks.some(({ ask }) => ask === 'unit' || ask === 'heard');
    for (let round = 1; round <= one.rounds; round++) {
      if (built !== undefined && hasFloor) await measureFloor(built, options.events, to);
      // Nobody is always the first.
      for (const tree of round % 2 === 0 ? trees.toReversed() : trees) {
        say(
          `${sizeText(one.size)}: ${one.asks.map(({ ask }) => ask).join(', ')}, ${tree.column}, round ${round} of ${one.rounds}`,
        );
        await measureCase(one, tree, to, options.profile);
      }
    }
  }
  if (options.only.length > 0 && !options.only.includes('decide')) return;
  for (const tree of trees) {
    say(`${sizeText(decided)}: decide, ${tree.column}`);
    const agent = await Measured.start(tree.path, { seats: 1, rules: 1, plugged: 0 });
    try {
      const { all } = await agent.ask({ ask: 'decide', count: 5, size: decided });
      to.add({ name: 'decide', what: 'everything judged and planned', column: tree.column, size: decided }, all);
    } finally {
      await agent.stop();
    }
  }
}

async function measureCase(
  { size, asks }: Case,
  { path, column }: Tree,
  to: Collector,
  profile: string | undefined,
): Promise<void> {
  const agent = await Measured.start(path, size, profile && resolve(profile));
  let isStart = true;
  try {
    for (const { ask, count } of asks) {
      const put = (name: string, what: string, times: readonly number[], at: Size | undefined = size) =>
        to.add({ name, what, column, ...(at === undefined ? {} : { size: at }) }, times, { isStart });
      switch (ask) {
        case 'unit': {
          const { plug, unplug, pluggedIdle, unpluggedIdle } = await agent.ask({ ask, count });
          put('plug', 'plug', plug);
          put('unplug', 'unplug', unplug);
          put('plug', 'nothing left to be done', pluggedIdle);
          put('unplug', 'nothing left to be done', unpluggedIdle);
          break;
        }
        case 'heard': {
          const { plug, udev, agent: inAgent } = await agent.ask({ ask, count });
          put('heard', 'from a datagram', plug);
          put('heard', 'of it until the udev process has it', udev);
          put('heard', 'of it until the agent has it', inAgent);
          break;
        }
        case 'burst': {
          const { half, last } = await agent.ask({ ask, count });
          put('burst', `${count} at once, half of them`, [half]);
          put('burst', `${count} at once, the last`, [last]);
          break;
        }
        case 'same': {
          const { all, pure } = await agent.ask({ ask, count });
          put('same', 'in all', all);
          put('same', 'of it judged and planned', pure);
          break;
        }
        case 'look': {
          const { all, piece } = await agent.ask({ ask, count });
          put('look', 'in all', all);
          put('look', 'longest piece', piece);
          break;
        }
      }
      isStart = false;
    }
  } finally {
    await agent.stop();
  }
}

/** The floor takes its turn in each round: it sees the same machine as the agents do. */
async function measureFloor({ program }: Built, count: number, to: Collector): Promise<void> {
  const { plug, unplug } = await floor(program, count);
  to.add({ name: 'floor', what: 'plug', column: 'floor' }, plug, { isStart: true });
  to.add({ name: 'floor', what: 'unplug', column: 'floor' }, unplug, { isStart: true });
}
