// The client's side of the control socket: which of the two it takes, and how it acts while there is no room.

import { closeSync, existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { createConnection, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { ask, listens } from '../../agent/control/client.js';
import { rootSocketOf } from '../../agent/control/places.js';
import { listenAt } from '../../agent/kernel/unix-listener.js';

const scratch = mkdtempSync(join(tmpdir(), 'hotseat-client-'));
test.after(() => rmSync(scratch, { recursive: true }));

/** Answers everything with its name. */
function server(name: string): Server {
  return createServer((socket) =>
    socket
      .on('data', () => socket.write(`${JSON.stringify({ ok: true, result: name })}\n`))
      .on('error', () => undefined),
  );
}

const listening = (at: Server, where: string | { fd: number }): Promise<void> =>
  new Promise((resolve) => at.listen(where, resolve));

test('while there is no room to wait in, it is tried again, and the answer comes as soon as there is', async () => {
  const path = join(scratch, 'full.sock');
  const fd = listenAt(path, 0o600);
  const waiting: Socket[] = [];
  // Until the kernel says that no more may wait (unix(7)).
  for (let full = false; !full; ) {
    const socket = createConnection(path);
    waiting.push(socket);
    full = await new Promise<boolean>((resolve) => {
      socket.once('connect', () => resolve(false));
      socket.once('error', ({ code }: NodeJS.ErrnoException) => resolve(code === 'EAGAIN'));
    });
    assert.ok(waiting.length < 5000, 'everybody may wait: this shows nothing');
  }
  assert.ok(await listens(path), 'where there is no room, there is somebody');
  const began = performance.now();
  const error = await ask(path, { verb: 'status' }, 300).then(
    () => '',
    ({ message }: Error) => message,
  );
  assert.match(error, /too many others wait to be let in .* try again/);
  assert.ok(performance.now() - began < 1000);

  const agent = server('agent');
  setTimeout(() => void listening(agent, { fd }), 400);
  assert.is(await ask(path, { verb: 'status' }, 10_000), 'agent');
  assert.ok(performance.now() - began > 400);
  for (const socket of waiting) socket.destroy();
  agent.close();
});

test('root asks at its own socket, and at that of all where an older agent has no other', async () => {
  if (process.geteuid?.() !== 0) return;
  const path = join(scratch, 'both.sock');
  const [all, own] = [server('all'), server('own')];
  await listening(all, path);
  assert.is(await ask(path, { verb: 'status' }, 5000), 'all');
  mkdirSync(join(scratch, 'root'), { mode: 0o700 });
  await listening(own, rootSocketOf(path));
  assert.is(await ask(path, { verb: 'status' }, 5000), 'own');
  for (const one of [all, own]) one.close();
});

test('nobody listens where nothing is, or where a crash left a socket behind', async () => {
  const path = join(scratch, 'left.sock');
  assert.not.ok(await listens(path));
  const reason = await ask(path, { verb: 'status' }, 1000).catch(({ message }: Error) => message);
  assert.match(String(reason), /not running .*left\.sock/);
  const one = server('one');
  await listening(one, path);
  assert.ok(await listens(path));
  await new Promise((resolve) => one.close(resolve));
  closeSync(listenAt(path, 0o600));
  assert.ok(existsSync(path));
  assert.not.ok(await listens(path));
});

test.run();
