// The lab's hand in the guest: JSON lines over a virtio-serial port, plain Node, no dependencies.
//
// host -> guest   {id, op: 'exec', argv, env?, cwd?, timeoutMs?}   start a process
//                 {id, op: 'in', b64} · {id, op: 'eof'}            its standard input
//                 {id, op: 'kill', signal}
//                 {id, op: 'ask', path, line}                      a line to a unix socket, over a connection that stays
//                 {op: 'hello', epoch, time}                       a new driver, or the same one after loadvm
// guest -> host   {t: 'hello', epoch} · {id, t: 'out' | 'err', b64} · {id, t: 'exit', code, signal, timedOut}
//                 {id, t: 'answer', line | error}
//
// A snapshot can be taken in the middle of a line. Therefore both sides begin a hello with a newline, and
// everything that was started before it is killed.
import { spawn, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import { createConnection } from 'node:net';
import { createInterface } from 'node:readline';

const path = '/dev/virtio-ports/org.hotseat.lab';
const PIECE = 48 * 1024;
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

while (!fs.existsSync(path)) await pause(200);
const fd = fs.openSync(path, 'r+');

let queue = [];
let writing = false;
function send(message) {
  queue.push(Buffer.from(`${JSON.stringify(message)}\n`));
  if (!writing) void drain();
}
async function drain() {
  writing = true;
  while (queue.length > 0) {
    let rest = Buffer.concat(queue);
    queue = [];
    while (rest.length > 0) {
      const n = await new Promise((resolve) => fs.write(fd, rest, (error, count) => resolve(error ? -1 : count)));
      if (n < 0) await pause(100);
      else rest = rest.subarray(n);
    }
  }
  writing = false;
}

/** @type {Map<number, import('node:child_process').ChildProcess>} */
const children = new Map();
let epoch = 0;

function kill(child, signal) {
  try {
    process.kill(-child.pid, signal);
  } catch {
    // already gone
  }
}

function exec({ id, argv, env, cwd, timeoutMs }) {
  const born = epoch;
  const say = (message) => {
    if (epoch === born) send({ id, ...message });
  };
  const [file, ...args] = argv;
  const child = spawn(file, args, { cwd: cwd ?? '/root', env: { ...process.env, ...env }, detached: true });
  children.set(id, child);
  let timedOut = false;
  const timer = timeoutMs
    ? setTimeout(() => {
        timedOut = true;
        kill(child, 'SIGKILL');
      }, timeoutMs)
    : undefined;
  for (const [t, stream] of [
    ['out', child.stdout],
    ['err', child.stderr],
  ]) {
    stream.on('data', (data) => {
      for (let at = 0; at < data.length; at += PIECE) say({ t, b64: data.subarray(at, at + PIECE).toString('base64') });
    });
  }
  child.stdin.on('error', () => {});
  let failed;
  child.on('error', (error) => {
    failed = error.message;
    if (child.pid === undefined) done(127, null);
  });
  // 'exit', not 'close': a daemon that keeps our pipe open must not hold the answer back for ever.
  child.on('exit', (code, signal) => {
    let waited = false;
    const end = () => {
      if (waited) return;
      waited = true;
      done(code, signal);
    };
    child.on('close', end);
    setTimeout(end, 500);
  });
  function done(code, signal) {
    clearTimeout(timer);
    children.delete(id);
    say({ t: 'exit', code, signal, timedOut, ...(failed ? { error: failed } : {}) });
  }
}

/** Open connections by path; each answers one line for each that it got, in their order. */
const conversations = new Map();

/** The agent closes a connection that was idle for 30 s: one that was for half of that is not used again, ms. */
const idleLimit = 15_000;

function converse(path) {
  const socket = createConnection(path);
  const asked = [];
  const conversation = { socket, asked, used: performance.now() };
  const end = (error) => {
    if (conversations.get(path)?.socket === socket) conversations.delete(path);
    for (const answered of asked.splice(0)) answered({ error });
  };
  socket.on('error', (error) => end(error.message));
  socket.on('close', () => end('it closed the connection without an answer'));
  createInterface({ input: socket })
    .on('error', () => {})
    .on('line', (line) => {
      conversation.used = performance.now();
      asked.shift()?.({ line });
    });
  return conversation;
}

/** One that goes on, or a new one. */
function conversationWith(path) {
  const kept = conversations.get(path);
  if (kept !== undefined && (kept.asked.length > 0 || performance.now() - kept.used < idleLimit)) return kept;
  kept?.socket.destroy();
  const conversation = converse(path);
  conversations.set(path, conversation);
  return conversation;
}

function ask({ id, path, line }) {
  const born = epoch;
  const conversation = conversationWith(path);
  conversation.used = performance.now();
  conversation.asked.push((answer) => {
    if (epoch === born) send({ id, t: 'answer', ...answer });
  });
  conversation.socket.write(`${line}\n`);
}

function take(message) {
  switch (message.op) {
    case 'hello':
      for (const child of children.values()) kill(child, 'SIGKILL');
      children.clear();
      for (const { socket } of conversations.values()) socket.destroy();
      conversations.clear();
      epoch = message.epoch;
      queue = [];
      spawnSync('date', ['-u', '-s', `@${message.time / 1000}`]);
      queue.push(Buffer.from('\n'));
      send({ t: 'hello', epoch });
      break;
    case 'exec':
      exec(message);
      break;
    case 'ask':
      ask(message);
      break;
    case 'in':
      children.get(message.id)?.stdin.write(Buffer.from(message.b64, 'base64'));
      break;
    case 'eof':
      children.get(message.id)?.stdin.end();
      break;
    case 'kill': {
      const child = children.get(message.id);
      if (child) kill(child, message.signal);
      break;
    }
  }
}

const buffer = Buffer.alloc(256 * 1024);
let rest = [];
for (;;) {
  const n = await new Promise((resolve) =>
    fs.read(fd, buffer, 0, buffer.length, null, (e, count) => resolve(e ? 0 : count)),
  );
  if (n === 0) {
    await pause(50);
    continue;
  }
  let from = 0;
  for (;;) {
    const to = buffer.indexOf(10, from);
    if (to < 0 || to >= n) break;
    rest.push(Buffer.from(buffer.subarray(from, to)));
    from = to + 1;
    const line = Buffer.concat(rest).toString();
    rest = [];
    let message;
    try {
      message = JSON.parse(line);
    } catch {
      continue; // half a line from before a snapshot
    }
    take(message);
  }
  if (from < n) rest.push(Buffer.from(buffer.subarray(from, n)));
}
