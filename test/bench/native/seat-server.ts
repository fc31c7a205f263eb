// How long a display server waits for a device that it opens at its seat's socket: the holder's own server, with a client in C.
//
// seat-server.js COUNT CLIENT: prints one line of JSON. CLIENT is the compiled seatd.c.

import { mkdirSync, mkdtempSync, realpathSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { execa } from 'execa';
import { Seats } from '../../../agent/holder/seats.js';
import { cgroupRoot } from '../../../agent/kernel/cgroup.js';
import { removeGroups } from '../../namespace/remove-groups.js';

/** Times of the opens, ms, in their order. */
export interface SeatServer {
  readonly opened: readonly number[];
  readonly floor: readonly number[];
}

const [count = '10', client = ''] = process.argv.slice(2);
/** A device that is awake, on each machine: how long a driver takes to wake another one is nothing of ours. */
const path = '/dev/null';
const number = '1:3';
const syspath = realpathSync(`/sys/dev/char/${number}`);

const times = async (...words: string[]): Promise<number[]> =>
  (await execa(client, [count, path, ...words])).stdout.split('\n').map((ns) => Number(ns) / 1e6);

const group = join(cgroupRoot(), `hotseat-bench-seatd-${process.pid}`);
const home = mkdtempSync('/var/tmp/hotseat-bench-seatd-');
mkdirSync(group);
try {
  const seats = new Seats(
    () => undefined,
    () => undefined,
    {
      hasOutputs: () => false,
      openCard: () => {
        throw new Error('there is no card');
      },
    },
  );
  const incarnation = String(statSync(syspath).ino);
  const device = { id: 'c1:3', path, kind: 'input', number, syspath, incarnation } as const;
  const socket = join(home, 'seatd.sock');
  const seat = { seat: 'left', path: socket, shown: undefined, cgroup: group, answersSwitch: true, devices: [device] };
  await seats.want({ serial: 1, seats: [seat], isAll: true });
  const opened = await times(socket, group);
  const floor = await times();
  console.log(JSON.stringify({ opened, floor } satisfies SeatServer));
  await seats.want({ serial: 2, seats: [], isAll: true });
} finally {
  rmSync(home, { recursive: true, force: true });
  await removeGroups([group]);
}
process.exit(0);
