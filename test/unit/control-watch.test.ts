import { mkdtempSync, rmSync } from 'node:fs';
import { createConnection } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { isUnconfirmed, markTrial } from '../../agent/active/trial.js';
import { duration } from '../../agent/cli/duration.js';
import { ask, follow } from '../../agent/control/client.js';
import type { Happened } from '../../agent/control/messages.js';
import { ControlServer } from '../../agent/control/server.js';

const scratch = mkdtempSync(join(tmpdir(), 'hotseat-control-'));
const path = join(scratch, 'control.sock');
const server = new ControlServer(path, async ({ verb }) => verb, pino({ level: 'silent' }));

test.before(() => server.listen());
test.after(() => {
  server.close();
  rmSync(scratch, { recursive: true });
});

const news = (device: string) =>
  ({ kind: 'bound', seat: 'left', container: 'left', device, rule: 'left.yaml:4' }) as const;

async function until(what: string, check: () => boolean): Promise<void> {
  for (let tries = 0; !check(); tries++) {
    if (tries > 500) throw new Error(`not within 5 s: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

test('who watches is told what happens from then on, in order, with the time, until he stops', async () => {
  const heard: Happened[] = [];
  const stop = new AbortController();
  const done = follow(path, { verb: 'watch' }, stop.signal, (item) => heard.push(item as Happened));
  await until('to be heard', () => {
    server.tell(news('/dev/input/event1'));
    return heard.length > 0;
  });
  server.tell(news('/dev/input/event2'));
  await until('the last one', () => heard.at(-1)?.kind === 'bound' && JSON.stringify(heard.at(-1)).includes('event2'));
  assert.ok(Math.abs(Date.parse(heard[0]?.time ?? '') - Date.now()) < 60_000);
  stop.abort();
  await done;
  server.tell(news('/dev/input/event3'));
});

test('what happens is put into words once, however many watch', async () => {
  const stop = new AbortController();
  const heard: Happened[][] = Array.from({ length: 20 }, () => []);
  const all = heard.map((items) =>
    follow(path, { verb: 'watch' }, stop.signal, (item) => items.push(item as Happened)),
  );
  await until('all to be heard', () => {
    server.tell(news('/dev/input/event6'));
    return heard.every(({ length }) => length > 0);
  });
  let inWords = 0;
  const device = {
    toJSON: () => {
      inWords += 1;
      return '/dev/input/event7';
    },
  };
  server.tell(news(device as unknown as string));
  await until('all to hear', () => heard.every((items) => JSON.stringify(items.at(-1)).includes('event7')));
  assert.is(inWords, 1);
  stop.abort();
  await Promise.all(all);
});

test('a server that closes drops all clients: no connection keeps its process from the end', async () => {
  const other = join(scratch, 'closing.sock');
  const closing = new ControlServer(other, async () => 'x'.repeat(4_000_000), pino({ level: 'silent' }));
  await closing.listen();
  const clients = await Promise.all(
    ['idle', 'answered', 'does not read', 'watches'].map(async (kind) => {
      const socket = createConnection(other);
      const closed = new Promise<void>((resolve) => socket.on('close', () => resolve()).on('error', () => undefined));
      await new Promise((resolve) => socket.once('connect', resolve));
      if (kind !== 'does not read') socket.resume();
      if (kind === 'watches') socket.write('{"verb":"watch"}\n');
      else if (kind !== 'idle') socket.write('{"verb":"status"}\n');
      return { kind, socket, closed };
    }),
  );
  await new Promise((resolve) => setTimeout(resolve, 200));
  closing.close();
  // A client that reads nothing sees the end only when it reads again.
  await new Promise((resolve) => setTimeout(resolve, 1500));
  for (const { socket } of clients) socket.resume();
  const late = new Promise((_, reject) => setTimeout(() => reject(new Error('still connected')), 5000).unref());
  for (const { closed } of clients) await Promise.race([closed, late]);
});

test('one who does not read is dropped, and disturbs neither the others nor the agent', async () => {
  const sleeper = createConnection(path);
  await new Promise((resolve) => sleeper.once('connect', resolve));
  sleeper.pause();
  sleeper.write('{"verb":"watch"}\n');
  let closed = false;
  sleeper.on('close', () => {
    closed = true;
  });
  sleeper.on('error', () => undefined);
  let heard = 0;
  const stop = new AbortController();
  const done = follow(path, { verb: 'watch' }, stop.signal, () => {
    heard += 1;
  });
  await until('both to watch', () => {
    server.tell(news('/dev/input/event1'));
    return heard > 0;
  });
  const before = heard;
  const long = 'x'.repeat(10_000);
  for (let count = 0; count < 400; count++) {
    server.tell(news(`/dev/input/${long}`));
    if (count % 20 === 0) await new Promise((resolve) => setTimeout(resolve, 5));
  }
  await until('the other to hear all', () => heard - before >= 400);
  assert.is(await ask(path, { verb: 'status' }, 5000), 'status');
  let text = '';
  sleeper.setEncoding('utf8').on('data', (data) => {
    text += String(data);
  });
  sleeper.resume();
  await until('the sleeper to be dropped', () => closed);
  assert.match(text, /dropped: it did not read/);
  stop.abort();
  await done;
});

test('one who asks without reading is answered no further than he reads', async () => {
  const other = join(scratch, 'large.sock');
  let asked = 0;
  const large = new ControlServer(
    other,
    async () => {
      asked += 1;
      return 'x'.repeat(1024 * 1024);
    },
    pino({ level: 'silent' }),
  );
  await large.listen();
  const client = createConnection(other);
  await new Promise((resolve) => client.once('connect', resolve));
  client.pause();
  client.write('{"verb":"devices"}\n'.repeat(50));
  await until('the first answer', () => asked > 0);
  await new Promise((resolve) => setTimeout(resolve, 200));
  assert.ok(asked < 5, `${asked} answers`);
  let lines = 0;
  client.setEncoding('latin1').on('data', (data) => {
    lines += String(data).split('\n').length - 1;
  });
  client.resume();
  await until('all answers', () => lines === 50);
  client.destroy();
  large.close();
});

test('a policy that nobody confirmed is known again, until another is taken', () => {
  const file = join(scratch, 'state/on-trial');
  const texts = [{ name: 'left.yaml', text: 'seat: left' }];
  assert.not.ok(isUnconfirmed(file, texts));
  markTrial(file, texts);
  assert.ok(isUnconfirmed(file, texts));
  assert.not.ok(isUnconfirmed(file, [{ name: 'left.yaml', text: 'seat: right' }]));
  markTrial(file, undefined);
  assert.not.ok(isUnconfirmed(file, texts));
});

test('times are a number and a unit', () => {
  assert.is(duration('confirm', '30s'), 30_000);
  assert.is(duration('for', '2h'), 7_200_000);
  for (const text of ['30', 's', '0s', '-1s', '1.5h', '1d', '10 s', '99999s'])
    assert.throws(() => duration('for', text), /--for takes a time/);
});

test.run();
