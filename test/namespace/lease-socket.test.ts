// How a lease reaches a display server: the socket in the seat's directory, hotseat-xorg, and the descriptor that goes over.

import { execFileSync, spawn } from 'node:child_process';
import { chmodSync, mkdirSync, openSync, readdirSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { createConnection, type Socket } from 'node:net';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Holdings } from '../../agent/holder/holdings.js';
import { type Lessor, SeatSocket } from '../../agent/holder/seat-socket.js';
import { sendDescriptor } from '../../agent/kernel/rights.js';
import { descriptorOf } from '../../agent/kernel/socket-descriptor.js';
import { listenAt } from '../../agent/kernel/unix-listener.js';
import { SeatDirectory } from '../../agent/seat/directory.js';
import { Outlet } from '../../agent/seat/outlet.js';
import { checkout } from '../unit/hotseat.js';
import { unshared } from './unshared.js';
import { until } from './until.js';

unshared(import.meta.url);

const work = '/run/work';
const xorg = `#!/bin/sh
echo "$@"
while [ "$1" != -masterfd ]; do shift; done
eval "cat <&$2"
read end
`;
const launcher = join(checkout, 'rules/hotseat-xorg');

test.before(() => {
  execFileSync('mount', ['-t', 'tmpfs', 'tmpfs', '/run']);
  mkdirSync(work);
  writeFileSync(join(work, 'card'), 'what was leased');
  // In the place of Xorg: prints its arguments, and the file at the descriptor behind -masterfd.
  writeFileSync(join(work, 'Xorg'), xorg, { mode: 0o755 });
});

/** Leases a file, and remembers who asked and ended. */
class Lent implements Lessor {
  readonly asked: string[] = [];
  readonly ended_: string[] = [];

  lease(seat: string, card: string | undefined, socket: Socket): void {
    this.asked.push(`${seat} ${card ?? 'any'}`);
    if (card === 'card9') throw new Error('this seat has no output of card9');
    const fd = openSync(join(work, 'card'), 'r');
    sendDescriptor(descriptorOf(socket), Buffer.from('{"card":"card1","outputs":["DP-1"]}\n'), fd);
  }

  ended(seat: string): void {
    this.ended_.push(seat);
  }
}

/** Runs the launcher until it ends or is ended; `end` has the stand-in for Xorg end. */
function launch(path: string, ...words: string[]) {
  const env = { ...process.env, HOTSEAT_LEASE: path, HOTSEAT_XORG: join(work, 'Xorg') };
  const child = spawn('python3', [launcher, ...words], { env });
  const said = { out: '', err: '' };
  child.stdout.on('data', (data) => {
    said.out += String(data);
  });
  child.stderr.on('data', (data) => {
    said.err += String(data);
  });
  const done = new Promise<number | null>((resolve) => void child.on('close', resolve));
  return { said, done, end: () => child.stdin.end('\n') };
}

test('hotseat-xorg becomes the display server with the lease, which lasts as long as that runs', async () => {
  const lessor = new Lent();
  const path = join(work, 'one');
  const socket = new SeatSocket('left', path, lessor);
  const server = launch(path, '--wait', '5', '-noreset', '-s', '0');
  await until('it to draw', () => server.said.out.includes('what was leased'));
  assert.match(server.said.out, /^:0 -masterfd \d+ -noreset -s 0\n/);
  assert.match(server.said.err, /DP-1 of card1/);
  assert.equal([lessor.asked, lessor.ended_], [['left any'], []]);
  server.end();
  assert.is(await server.done, 0);
  await until('its end to be heard', () => lessor.ended_.length === 1);
  socket.shut();
});

test('who has no output is told why, and one that comes within its patience is waited for', async () => {
  const lessor = new Lent();
  const path = join(work, 'two');
  const early = launch(path, '--wait', '10', ':7');
  await new Promise((resolve) => setTimeout(resolve, 300));
  const socket = new SeatSocket('left', path, lessor);
  await until('it to draw', () => /^-masterfd \d+ :7\n/.test(early.said.out));
  early.end();
  await early.done;
  const refused = launch(path, '--card', 'card9', '--wait', '0');
  assert.is(await refused.done, 1);
  assert.is(refused.said.err, 'hotseat-xorg: this seat has no output of card9\n');
  socket.shut();
});

test('what says something else, too much, or nothing gets nothing', async () => {
  const lessor = new Lent();
  const path = join(work, 'three');
  const socket = new SeatSocket('left', path, lessor);
  const answerTo = (text: string): Promise<string> =>
    new Promise((resolve) => {
      let answer = '';
      const one = createConnection(path, () => one.write(text));
      one.on('data', (data) => {
        answer += String(data);
      });
      one.on('error', () => undefined);
      one.on('close', () => resolve(answer));
    });
  assert.match(await answerTo('please\n'), /"error":"say lease/);
  assert.match(await answerTo('lease ../../etc\n'), /"error":"say lease/);
  assert.is(await answerTo('x'.repeat(1000)), '');
  assert.equal(lessor.asked, []);
  socket.shut();
});

test('the agent puts the socket where the seat sees it, for whom the rule says, and clears away what is not it', () => {
  const directory = new SeatDirectory('left');
  const outlet = new Outlet(
    directory,
    () => ({ user: () => 0, group: (name) => (name === 'video' ? 44 : undefined) }),
    'lease',
  );
  const dri = join(directory.path, 'dev/dri');
  assert.is(outlet.shown, undefined);
  // Hostile root has put a directory and a link there by then.
  mkdirSync(join(dri, 'hotseat/inner'), { recursive: true });
  symlinkSync('/etc/passwd', join(dri, 'card0'));
  const made = new SeatSocket('left', outlet.draft, new Lent());
  outlet.show(made.inode);
  assert.is(outlet.shown, made.inode);
  outlet.permit({
    ...{ label: 'x', place: { file: 'x', line: 1, column: 1 }, conditions: [], share: false, whole: false, access: {} },
    ...{ hidraw: false, byName: false, revoke: 'auto' },
  });
  const { uid, gid, mode } = statSync(join(dri, 'hotseat'));
  assert.equal([uid, gid, mode & 0o777], [0, 44, 0o660]);
  directory.read();
  assert.equal(readdirSync(dri), ['hotseat'], 'it stays, and nothing else');
  outlet.show(made.inode);
  outlet.hide();
  writeFileSync(join(dri, 'hotseat'), 'no socket');
  directory.read();
  assert.equal(readdirSync(dri), []);
  made.shut();
  directory.close();
});

test('a socket of a link’s making is nobody’s to give away', () => {
  const directory = new SeatDirectory('right');
  const dri = join(directory.path, 'dev/dri');
  const other = join(work, 'other');
  listenAt(other, 0o600);
  chmodSync(other, 0o600);
  symlinkSync(other, join(dri, 'hotseat'));
  const outlet = new Outlet(directory, () => ({ user: () => 0, group: () => 44 }), 'lease');
  assert.is(outlet.shown, undefined);
  outlet.permit({
    ...{ label: 'x', place: { file: 'x', line: 1, column: 1 }, conditions: [], share: false, whole: false, access: {} },
    ...{ hidraw: false, byName: false, revoke: 'auto' },
  });
  assert.equal([statSync(other).gid, statSync(other).mode & 0o777], [0, 0o600]);
  directory.close();
});

test('the holder serves seats of a card that it cannot have, and says why', async () => {
  const said: string[] = [];
  const holdings = new Holdings(
    (text) => void said.push(text),
    () => undefined,
  );
  const path = join(work, 'four');
  const seats = [{ seat: 'left', connectors: ['DP-1'] }];
  const card = { node: '/dev/null', number: '226:1', incarnation: '1', seats };
  holdings.want({ cards: [card], sockets: [{ seat: 'left', path, shown: undefined }] });
  const [state] = holdings.state.cards;
  assert.match(state?.problem ?? '', /\/dev\/null cannot be held: \/dev\/null is another card/);
  const [socket] = holdings.state.sockets;
  const refused = launch(path, '--wait', '0');
  assert.is(await refused.done, 1);
  assert.match(refused.said.err, /is another card/);
  // The socket that the seat sees stays. If the seat sees another one, a new one is made.
  holdings.want({ cards: [card], sockets: [{ seat: 'left', path, shown: socket?.inode }] });
  assert.equal(holdings.state.sockets, [socket]);
  holdings.want({ cards: [card], sockets: [{ seat: 'left', path, shown: undefined }] });
  assert.is.not(holdings.state.sockets[0]?.inode, socket?.inode);
  holdings.want({ cards: [], sockets: [] });
  assert.equal([holdings.state.cards, holdings.state.sockets], [[], []]);
});

// Leftovers of a failed test would keep this process.
test.after(() => void setTimeout(() => process.exit(), 2000).unref());
test.run();
