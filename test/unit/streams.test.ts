import { spawn } from 'node:child_process';
import {
  appendFileSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createServer, type RequestListener, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Subject, throwError } from 'rxjs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { WebSocketServer } from 'ws';
import { runs } from '../../agent/engines/process.js';
import { fileStream } from '../../agent/engines/streams/file.js';
import { Hearing } from '../../agent/engines/streams/hearing.js';
import { httpStream } from '../../agent/engines/streams/http.js';
import { programStream } from '../../agent/engines/streams/program.js';
import type { EventStream, Word } from '../../agent/engines/streams/stream.js';
import { websocketStream } from '../../agent/engines/streams/websocket.js';

// Real sockets, programs and files; their messages are those by which an engine must not be able to do harm.
const scratch = mkdtempSync(join(tmpdir(), 'hotseat-streams-'));
const self = readFileSync('/proc/self/comm', 'utf8').trim();
test.after(() => rmSync(scratch, { recursive: true }));

async function until(what: string, check: () => boolean): Promise<void> {
  for (let tries = 0; !check(); tries++) {
    if (tries > 1000) throw new Error(`not within 10 s: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/** The events of a stream: words, and why it ended. */
function listen({ words }: EventStream): { heard: Word[]; ended: () => string | undefined; stop: () => void } {
  const heard: Word[] = [];
  let reason: string | undefined;
  const subscription = words.subscribe({
    next: (word) => heard.push(word),
    error: (error: Error) => {
      reason = error.message;
    },
  });
  return { heard, ended: () => reason, stop: () => subscription.unsubscribe() };
}

/** A daemon on a socket of its own. */
async function daemon(answer: RequestListener): Promise<{ server: Server; socket: string }> {
  const socket = join(scratch, `${Math.random()}.sock`);
  const server = createServer(answer);
  await new Promise<void>((resolve) => server.listen(socket, resolve));
  return { server, socket };
}

test('a daemon is listened to, word by word, and its end is an end', async () => {
  let asked = '';
  let say = (_text: string): void => undefined;
  let end = (): void => undefined;
  const { server, socket } = await daemon((request, response) => {
    asked = request.url ?? '';
    response.writeHead(200).flushHeaders();
    say = (text) => void response.write(text);
    end = () => void response.end();
  });
  const { heard, ended } = listen(httpStream(self, socket, '/events?all=1'));
  await until('it to be listened to', () => heard.length === 1);
  assert.is(asked, '/events?all=1');
  assert.equal(heard, ['listening']);
  say('{"not": "JSON');
  await until('a word', () => heard.length === 2);
  say('\0'.repeat(1_000_000));
  await until('more words', () => heard.length > 2);
  assert.is(ended(), undefined);
  end();
  await until('its end', () => ended() !== undefined);
  assert.is(ended(), `${self} ended it`);
  server.close();
});

test('a daemon that refuses, one that is not there, and one that does not run are told apart', async () => {
  const { server, socket } = await daemon((_request, response) => response.writeHead(403).end('no'));
  const refused = listen(httpStream(self, socket, '/events'));
  await until('the refusal', () => refused.ended() !== undefined);
  assert.is(refused.ended(), `${socket} answers 403 to /events`);
  assert.equal(refused.heard, []);
  server.close();
  const absent = listen(httpStream(self, join(scratch, 'none.sock'), '/events'));
  await until('the absence', () => absent.ended() !== undefined);
  assert.match(absent.ended() ?? '', /ENOENT.*none\.sock/);
});

test('a socket of a daemon that does not run is not touched: systemd would start it', async () => {
  let connected = 0;
  const { server, socket } = await daemon(() => undefined);
  server.on('connection', () => {
    connected += 1;
  });
  const { ended } = listen(httpStream('no-such-daemon', socket, '/events'));
  assert.is(ended(), 'no-such-daemon does not run');
  await new Promise((resolve) => setTimeout(resolve, 100));
  assert.is(connected, 0);
  assert.ok(runs(self));
  server.close();
});

test('what a daemon leaves behind under its name is not the daemon', async () => {
  const program = join(scratch, 'some-daemon');
  copyFileSync('/bin/sleep', program);
  const start = (...title: string[]) =>
    spawn('bash', ['-c', `exec -a "$0" ${program} 1000`, ...title], { stdio: 'ignore' });
  const left = start('[lxc monitor] /var/lib/some/containers left');
  const named = () => readFileSync(`/proc/${left.pid}/comm`, 'utf8').trim() === 'some-daemon';
  await until('what is left behind', named);
  assert.not.ok(runs('some-daemon'));
  const itself = start('some-daemon');
  await until('the daemon', () => runs('some-daemon'));
  for (const child of [left, itself]) child.kill('SIGKILL');
});

test('a daemon that has died, and that nobody has reaped, does not run', async () => {
  const program = join(scratch, 'dead-daemon');
  copyFileSync('/bin/sleep', program);
  // A shell would wait for a child that ends before the shell becomes another program.
  const parent = spawn('perl', ['-e', 'if (fork) { sleep 1000 } else { exec @ARGV }', program, '0'], {
    stdio: 'ignore',
  });
  const children = () => readFileSync(`/proc/${parent.pid}/task/${parent.pid}/children`, 'utf8').trim();
  const isDead = () => /\(dead-daemon\) Z /.test(readFileSync(`/proc/${children()}/stat`, 'utf8'));
  try {
    await until('its child', () => /^\d+$/.test(children()));
    await until('it to be dead', isDead);
    assert.not.ok(runs('dead-daemon'));
  } finally {
    parent.kill('SIGKILL');
  }
});

test('a daemon that talks by websocket is heard; that it asks who listens is no word, and is answered', async () => {
  const { server, socket } = await daemon((_request, response) => response.writeHead(400).end());
  const websockets = new WebSocketServer({ server });
  let asked = '';
  let answered = 0;
  websockets.on('connection', (client, request) => {
    asked = request.url ?? '';
    client.on('pong', () => {
      answered += 1;
    });
    client.ping();
    client.send('no JSON');
  });
  const { heard, ended, stop } = listen(websocketStream(self, socket, '/1.0/events?type=lifecycle&all-projects=true'));
  await until('a word', () => heard.length === 2);
  assert.equal(heard, ['listening', 'word']);
  assert.is(asked, '/1.0/events?type=lifecycle&all-projects=true');
  await until('its question to be answered', () => answered === 1);
  for (const client of websockets.clients) client.send('x'.repeat(2_000_000));
  await until('the end of who talks nonsense', () => ended() !== undefined);
  assert.match(ended() ?? '', /Max payload size exceeded/);
  stop();
  await until('the line to be free', () => websockets.clients.size === 0);
  websockets.close();
  const refused = listen(websocketStream(self, socket, '/'));
  await until('the refusal', () => refused.ended() !== undefined);
  assert.match(refused.ended() ?? '', /400/);
  server.close();
  assert.is(listen(websocketStream('no-such-daemon', socket, '/')).ended(), 'no-such-daemon does not run');
});

test('whoever stops listening hangs up', async () => {
  let closed = false;
  const { server, socket } = await daemon((request, response) => {
    response.writeHead(200).flushHeaders();
    request.socket.on('close', () => {
      closed = true;
    });
  });
  const { heard, stop } = listen(httpStream(self, socket, '/'));
  await until('it to be listened to', () => heard.length === 1);
  stop();
  await until('the end', () => closed);
  server.close();
});

test('a program is listened to until it ends, with what it said was wrong', async () => {
  const { heard, ended } = listen(
    programStream('sh', '-c', 'echo a; sleep 0.2; echo b; echo "what a   pity" >&2; exit 3'),
  );
  await until('its end', () => ended() !== undefined);
  assert.equal(heard, ['listening', 'word', 'word']);
  assert.is(ended(), 'sh ended (3): what a pity');
  assert.is(listen(programStream('no-such-program')).ended(), 'no-such-program is not installed');
});

test('a program ends when nobody listens any more, and with whoever listened, however that dies', async () => {
  const pid = join(scratch, 'pid');
  const alive = (): boolean => existsSync(`/proc/${readFileSync(pid, 'utf8').trim()}`);
  const script = `echo $$ > ${pid}; echo up; exec sleep 1000`;
  const { heard, stop } = listen(programStream('sh', '-c', script));
  await until('it to be up', () => heard.length === 2);
  assert.ok(alive());
  stop();
  await until('its end', () => !alive());

  const module = new URL('../../agent/engines/streams/program.js', import.meta.url).href;
  const code = `(await import('${module}')).programStream('sh', '-c', ${JSON.stringify(script)}).words.subscribe((word) => console.log(word));`;
  const listener = spawn(process.execPath, ['--input-type=module', '--eval', code], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let said = '';
  listener.stdout.on('data', (text: Buffer) => {
    said += text.toString();
  });
  await until('it to be up again', () => said.includes('word'));
  assert.ok(alive());
  listener.kill('SIGKILL');
  await until('its end as well', () => !alive());
});

test('a log is listened to, also after it was put aside; a directory that is not there is said', async () => {
  const log = join(scratch, 'log/events.log');
  mkdirSync(join(scratch, 'log'));
  const { heard, stop } = listen(fileStream(scratch, 'log', 'events.log'));
  assert.equal(heard, ['listening']);
  writeFileSync(join(scratch, 'log/other'), 'x');
  writeFileSync(log, 'one');
  await until('a word', () => heard.length > 1);
  rmSync(log);
  writeFileSync(log, '');
  await new Promise((resolve) => setTimeout(resolve, 100));
  const before = heard.length;
  appendFileSync(log, 'two');
  await until('another', () => heard.length > before);
  stop();
  assert.match(listen(fileStream(scratch, 'none', 'events.log')).ended() ?? '', /ENOENT/);
});

test('whose log it is can put anything in its place: the stream ends, and nothing is followed', async () => {
  const place = join(scratch, 'hers');
  for (const replace of [
    () => writeFileSync(place, ''),
    () => symlinkSync('/proc', place),
    () => mkdirSync(place),
    () => undefined,
  ]) {
    mkdirSync(place);
    const { ended } = listen(fileStream(scratch, 'hers', 'events.log', 20));
    rmSync(place, { recursive: true });
    replace();
    await until('its end', () => ended() !== undefined);
    assert.match(ended() ?? '', /ENOTDIR|ELOOP|ENOENT|replaced/);
    rmSync(place, { recursive: true, force: true });
  }
  symlinkSync(scratch, place);
  assert.match(listen(fileStream(scratch, 'hers', 'events.log')).ended() ?? '', /ELOOP/);
  assert.match(listen(fileStream('/', 'proc', 'x')).ended() ?? '', /EXDEV/, 'another file system');
});

test('a daemon that lets itself be called and says nothing is given up, and called again', async () => {
  let calls = 0;
  let hungUp = 0;
  const { server, socket } = await daemon((request) => {
    calls += 1;
    request.socket.on('close', () => {
      hungUp += 1;
    });
  });
  const hearing = new Hearing(
    () => assert.unreachable('nothing was said'),
    () => undefined,
    100,
  );
  hearing.attend([httpStream(self, socket, '/')]);
  await until('the reason', () => hearing.now[0]?.reason === 'no answer within 100 ms');
  await until('another call', () => calls === 2 && hungUp >= 1);
  hearing.attend([]);
  await until('the end of both', () => hungUp === 2);
  server.close();
});

test('a stream that ends is opened again; the reason is known meanwhile, and what was missed is looked for', async () => {
  let opened = 0;
  let source = new Subject<Word>();
  const place = 'there';
  const stream: EventStream = {
    place,
    get words() {
      return source.asObservable();
    },
  };
  const counted: EventStream = {
    place,
    words: throwError(() => {
      opened += 1;
      return new Error('not yet');
    }),
  };
  let heard = 0;
  const changes: (string | undefined)[] = [];
  const hearing = new Hearing(
    () => {
      heard += 1;
    },
    (_place, reason) => changes.push(reason),
  );
  hearing.attend([counted]);
  await until('three tries', () => opened === 3);
  assert.equal(changes, ['not yet'], 'said once');
  assert.equal(hearing.now, [{ place, reason: 'not yet', words: 0 }]);
  hearing.attend([]);
  assert.equal(hearing.now, []);

  hearing.attend([stream]);
  source.next('listening');
  source.next('word');
  assert.equal(hearing.now, [{ place, reason: undefined, words: 1 }]);
  for (let times = 0; times < 1000; times++) source.next('word');
  await until('a look', () => heard > 0);
  await new Promise((resolve) => setTimeout(resolve, 300));
  assert.ok(heard <= 3, `${heard} looks for what is said in one breath`);
  hearing.attend([stream]);
  assert.is(hearing.now[0]?.words, 1001, 'what is attended to already goes on');
  const former = source;
  source = new Subject();
  former.error(new Error('it broke'));
  assert.is(hearing.now[0]?.reason, 'it broke');
  hearing.attend([]);
  assert.not(source.observed);
});

test.run();
