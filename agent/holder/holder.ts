import { chmodSync, rmSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { Lines } from '../core/lines.js';
import { Holdings } from './holdings.js';
import { type Identified, identifiedBy, isOfName } from './identify-messages.js';
import { type Done, holderSocket, isOfSeats, runningOn, wantedOf } from './messages.js';
import { Seats } from './seats.js';

/*
 * The holder: a process of its own for all that must outlive the agent. It is master of the cards of which several seats have
 * outputs, and hands a lease to each display server that starts. It opens inputs for display servers, and takes them back. Without
 * an agent it goes on with the last thing that it was told.
 */

/** The largest message of an agent: all cards and seats of a PC. */
const longestLine = 1024 * 1024;

/**
 * A holder that holds nothing and has no client ends after this time, ms. systemd starts it when it is needed again.
 */
const idleMs = 60_000;

const listeners = new Set<Socket>();
const say = (text: string): void => void process.stdout.write(`${text}\n`);
const stateLine = (): string => `${JSON.stringify({ ...holdings.state, seats: seats.state })}\n`;

let isDue = false;
/** Several changes at once are told as one. */
const tell = (): void => {
  if (isDue) return;
  isDue = true;
  setImmediate(() => {
    isDue = false;
    for (const socket of listeners) socket.write(stateLine());
  });
};

const notDone = (error: unknown): void => say(`not done: ${(error as Error).message}`);

async function answer(socket: Socket, done: Promise<Done | Identified>): Promise<void> {
  try {
    socket.write(`${JSON.stringify(await done)}\n`);
  } catch (error) {
    notDone(error);
  }
}

const holdings = new Holdings(say, tell);
const seats = new Seats(say, tell, holdings);

const server = createServer((socket) => {
  listeners.add(socket);
  const text = new Lines();
  socket.setEncoding('utf8');
  socket.on('error', () => socket.destroy());
  socket.on('close', () => listeners.delete(socket));
  socket.on('data', (data: string) => {
    const lines = text.take(data);
    if (text.pending > longestLine) socket.destroy();
    for (const line of lines) {
      try {
        const wanted = wantedOf(line);
        if (isOfName(wanted)) void answer(socket, identifiedBy(wanted, holdings.identify(wanted)));
        else if (isOfSeats(wanted)) void answer(socket, seats.want(wanted));
        else holdings.want(wanted).catch(notDone);
      } catch (error) {
        say(`not understood: ${(error as Error).message}`);
      }
    }
    tell();
  });
  socket.write(stateLine());
});

server.on('error', (error) => {
  say(error.message);
  process.exit(1);
});

// systemd hands over the socket that it listens at (sd_listen_fds(3)); without it this listens by itself.
const handed = process.env['LISTEN_PID'] === String(process.pid) && process.env['LISTEN_FDS'] === '1';
if (handed) server.listen({ fd: 3 });
else {
  rmSync(holderSocket, { force: true });
  process.umask(0o077);
  server.listen(holderSocket, () => chmodSync(holderSocket, 0o600));
}
if (handed) {
  let isIdle = false;
  setInterval(() => {
    const { cards, sockets } = holdings.state;
    const isNow =
      cards.length + sockets.length + runningOn(holdings.state).length + seats.state.length + listeners.size === 0;
    if (isIdle && isNow) process.exit(0);
    isIdle = isNow;
  }, idleMs);
}
say('ready');
