// How a lease reaches a display server: the socket in the seat's directory, hotseat-xorg, and the descriptor that goes over.

import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { chmodSync, closeSync, mkdirSync, openSync, readdirSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { createConnection, type Socket } from 'node:net';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Holdings } from '../../agent/holder/holdings.js';
import { Ration } from '../../agent/holder/pace.js';
import { type Lessor, SeatSocket } from '../../agent/holder/seat-socket.js';
import { cgroupOf, cgroupRoot } from '../../agent/kernel/cgroup.js';
import { sendDescriptor } from '../../agent/kernel/rights.js';
import { descriptorOf } from '../../agent/kernel/socket-descriptor.js';
import { listenAt } from '../../agent/kernel/unix-listener.js';
import { SeatDirectory } from '../../agent/seat/directory.js';
import { Outlet } from '../../agent/seat/outlet.js';
import { checkout } from '../unit/hotseat.js';
import { removeGroups } from './remove-groups.js';
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

/** The container of the seats is this process's own group, but where the test says another. */
const own = cgroupOf(process.pid);
const said: string[] = [];
function socketAt(path: string, lessor: Lessor, seat = 'left', cgroup = own): SeatSocket {
  return new SeatSocket({ seat, path, shown: undefined, cgroup }, lessor, (text) => void said.push(text));
}

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

  async lease(seat: string, card: string | undefined, socket: Socket): Promise<void> {
    this.asked.push(`${seat} ${card ?? 'any'}`);
    if (card === 'card9') throw new Error('this seat has no output of card9');
    const fd = openSync(join(work, 'card'), 'r');
    sendDescriptor(descriptorOf(socket), Buffer.from('{"card":"card1","outputs":["DP-1"]}\n'), fd);
  }

  ended(seat: string): void {
    this.ended_.push(seat);
  }

  async leaseNothing(seat: string, card: string, socket: Socket): Promise<void> {
    this.asked.push(`${seat} nothing of ${card}`);
    if (card !== 'card3') throw new Error(`this seat has no lease of /dev/dri/${card}`);
    const fd = openSync(join(work, 'card'), 'r');
    sendDescriptor(descriptorOf(socket), Buffer.from('{"card":"card3"}\n'), fd);
    closeSync(fd);
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
  const socket = socketAt(path, lessor);
  const server = launch(path, '--wait', '5', '-noreset', '-s', '0');
  await until('it to draw', () => server.said.out.includes('what was leased'));
  assert.match(server.said.out, /^:0 -masterfd \d+ -noreset -s 0\n/);
  assert.match(server.said.err, /DP-1 of card1/);
  assert.equal([lessor.asked, lessor.ended_], [['left any'], []]);
  server.end();
  assert.is(await server.done, 0);
  await until('its end to be heard', () => lessor.ended_.length === 1);
  socket.close();
});

test('who has no output is told why, and one that comes within its patience is waited for', async () => {
  const lessor = new Lent();
  const path = join(work, 'two');
  const early = launch(path, '--wait', '10', ':7');
  await new Promise((resolve) => setTimeout(resolve, 300));
  const socket = socketAt(path, lessor);
  await until('it to draw', () => /^-masterfd \d+ :7\n/.test(early.said.out));
  early.end();
  await early.done;
  const refused = launch(path, '--card', 'card9', '--wait', '0');
  assert.is(await refused.done, 1);
  assert.is(refused.said.err, 'hotseat-xorg: this seat has no output of card9\n');
  socket.close();
});

test('what says something else, too much, or nothing gets nothing', async () => {
  const lessor = new Lent();
  const path = join(work, 'three');
  const socket = socketAt(path, lessor);
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
  socket.close();
});

/** Goes into a group, connects, asks, and prints the answer; then it waits until it is closed. */
const guest = `
import os, socket, sys
open(sys.argv[1] + '/cgroup.procs', 'w').write(str(os.getpid()))
line = socket.socket(socket.AF_UNIX)
line.connect(sys.argv[2])
asked = False
while True:
    try:
        if not asked: line.sendall(sys.argv[3].encode() + b'\\n')
        asked = True
        text, _, _, _ = socket.recv_fds(line, 4096, 1)
    except OSError: text = b''
    print(text.decode().strip() or 'closed', flush=True)
    if not text: break
`;
const groups = ['left', 'right'].map((name) => join(cgroupRoot(), `hotseat-lease-${process.pid}-${name}`));
const [leftGroup = '', rightGroup = ''] = groups;

const visitors: ChildProcess[] = [];

function visit(group: string, path: string, words = 'lease'): { readonly heard: () => string[] } {
  const child = spawn('python3', ['-c', guest, group, path, words], { stdio: ['ignore', 'pipe', 'inherit'] });
  let text = '';
  child.stdout.on('data', (data) => {
    text += String(data);
  });
  visitors.push(child);
  return { heard: () => text.trim().split('\n').filter(Boolean) };
}
const leased = '{"card":"card1","outputs":["DP-1"]}';

/** The answer to a line at a socket. */
const answer = (path: string, words: string): Promise<string> =>
  new Promise((resolve, reject) => {
    const one = createConnection(path, () => one.write(`${words}\n`));
    one.once('data', (data) => {
      resolve(String(data).trim());
      one.destroy();
    });
    one.on('error', reject);
  });

test('clients that ask and go take no turn from the one behind them', async () => {
  const path = join(work, 'gone');
  const lessor = new Lent();
  const socket = socketAt(path, lessor);
  for (let count = 0; count < 300; count++)
    await new Promise<void>((resolve, reject) => {
      const one = createConnection(path, () => one.end('lease\n', () => one.destroy()));
      one.on('error', reject);
      one.on('close', () => resolve());
    });
  const began = performance.now();
  assert.is(await answer(path, 'lease'), leased);
  const waited = performance.now() - began;
  assert.ok(waited < 3000, `${waited} ms`);
  console.log(`behind 300 clients that have gone: ${waited.toFixed(0)} ms, ${lessor.asked.length} leases`);
  socket.close();
});

test('who was let in and has said nothing gets no lease when the seat has no outputs any more', async () => {
  const path = join(work, 'late');
  const lessor = new Lent();
  const socket = socketAt(path, lessor);
  const client = createConnection(path);
  await new Promise<void>((resolve) => client.once('connect', () => resolve()));
  await new Promise((resolve) => setTimeout(resolve, 100));
  socket.close();
  const over = new Promise<void>((resolve) => client.once('close', () => resolve()));
  client.resume().write('lease\n');
  await over;
  assert.equal(lessor.asked, []);
});

test('only processes of the seat’s container get a lease; one that comes before it is known waits, and its end ends theirs', async () => {
  for (const group of groups) mkdirSync(group);
  const lessor = new Lent();
  const path = join(work, 'guests');
  const socket = socketAt(path, lessor, 'left', leftGroup);
  const wanted = { seat: 'left', path, shown: socket.inode };
  const stranger = visit(rightGroup, path);
  await until('the stranger to be sent away', () => stranger.heard().includes('closed'));
  assert.equal([stranger.heard(), lessor.asked], [['closed'], []]);
  assert.ok(said.includes(`left: refused: somebody in ${rightGroup}, which is not the seat's container`), said.join());
  const empty = visit(rightGroup, path, 'empty card3');
  await until('it to be sent away', () => empty.heard().includes('closed'));
  const mine = visit(leftGroup, path);
  await until('its lease', () => mine.heard().includes(leased));
  // The agent does not know the next container yet: nobody of the former one stays.
  socket.want({ ...wanted, cgroup: undefined });
  await until('its end', () => mine.heard().includes('closed'));
  await until('the end of its lease', () => lessor.ended_.length === 1);
  const early = visit(rightGroup, path);
  await new Promise((resolve) => setTimeout(resolve, 500));
  assert.equal([early.heard(), lessor.asked], [[], ['left any']]);
  socket.want({ ...wanted, cgroup: rightGroup });
  await until('the next one’s lease', () => early.heard().includes(leased));
  // The same where a guest came by a socket that nobody sees any more.
  socket.want({ ...wanted, shown: undefined, cgroup: rightGroup });
  assert.is.not(socket.inode, wanted.shown);
  socket.want({ ...wanted, shown: socket.inode, cgroup: leftGroup });
  await until('it to go', () => early.heard().includes('closed'));
  socket.close();
});

test('a seat gets so many leases of nothing, and then one a minute; a lease of its outputs all the same', async () => {
  const lessor = new Lent();
  const path = join(work, 'nothings');
  const socket = socketAt(path, lessor);
  const ask = (words: string): Promise<string> => answer(path, words);
  const answers: string[] = [];
  for (let count = 0; count < 17; count++) answers.push(await ask('empty card3'));
  assert.equal(
    answers.map((answer) => answer === '{"card":"card3"}'),
    Array.from({ length: 17 }, (_, count) => count < 16),
  );
  assert.match(answers[16] ?? '', /too many empty leases/);
  assert.is(await ask('lease'), leased);
  socket.close();
  let now = 0;
  const ration = new Ration(2, 60, () => now);
  const take = (at: number): boolean => {
    now = at;
    return ration.take();
  };
  assert.equal([0, 1, 2, 60, 61, 120, 1000, 1001, 1002].map(take), [
    ...[true, true, false, true, false, true, true, true, false],
  ]);
});

/** In the place of a compositor: asks each device for a lease, of nothing or of one object, and reads what it gets. */
const compositor = `
import ctypes, errno, fcntl, os, struct, subprocess, sys
objects = ctypes.create_string_buffer(struct.pack('I', 7))
def ask(path, count):
    request = bytearray(struct.pack('QIIII', ctypes.addressof(objects), count, os.O_CLOEXEC, 0, 0))
    device = os.open(path, os.O_RDWR)
    try:
        fcntl.ioctl(device, 0xC01864C6, request, True)
    except OSError as error:
        return errno.errorcode[error.errno]
    lessee, fd = struct.unpack_from('II', request, 16)
    return os.read(fd, 100).decode() + (' kept from children' if not os.get_inheritable(fd) else '')
if len(sys.argv) > 1: sys.exit(print(ask('/dev/null', 0)))
print(ask('/dev/null', 0), ask('/dev/null', 1), ask('/dev/zero', 0), sep='; ')
subprocess.run([sys.executable, __file__, 'child'])
print(os.environ['LIBSEAT_BACKEND'], os.environ['WLR_RENDERER'])
try: os.waitpid(-1, 0)
except ChildProcessError: print('no child')
`;

test('hotseat-wlroots becomes the compositor, whose request for an empty lease is answered, and no other', async () => {
  const lessor = new Lent();
  const path = join(work, 'empty');
  const socket = socketAt(path, lessor);
  writeFileSync(join(work, 'compositor'), compositor);
  const env = { ...process.env, HOTSEAT_LEASE: path, WLR_RENDERER: 'gles2' };
  const arguments_ = [join(checkout, 'rules/hotseat-wlroots'), 'python3', '-u', join(work, 'compositor')];
  const child = spawn('python3', arguments_, { env, stdio: ['ignore', 'pipe', 'pipe'] });
  const said = { out: '', err: '' };
  child.stdout.on('data', (data) => {
    said.out += String(data);
  });
  child.stderr.on('data', (data) => {
    said.err += String(data);
  });
  // Its helper has the same standard output, and ends with it.
  await new Promise((resolve) => void child.on('close', resolve));
  const [own, childs, environment, none] = said.out.trim().split('\n');
  assert.is(own, 'what was leased kept from children; ENOTTY; EINVAL', said.err);
  assert.is(childs, 'what was leased kept from children');
  assert.equal([environment, none], ['seatd gles2', 'no child']);
  assert.match(said.err, /no empty lease: this seat has no lease of \/dev\/dri\/card5/);
  assert.equal(lessor.asked, ['left nothing of card3', 'left nothing of card5', 'left nothing of card3']);
  assert.equal(lessor.ended_, ['left', 'left', 'left']);
  socket.close();
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
  const made = socketAt(outlet.draft, new Lent());
  outlet.show(made.inode, { access: {} });
  assert.is(outlet.shown, made.inode);
  const owner = () => {
    const { uid, gid, mode } = statSync(join(dri, 'hotseat'));
    return [uid, gid, mode & 0o777];
  };
  assert.equal(owner(), [0, 44, 0o660], 'from the first moment: a display server may wait for it');
  outlet.permit({ access: { mode: 0o600 } });
  assert.equal(owner(), [0, 44, 0o600]);
  directory.read();
  assert.equal(readdirSync(dri), ['hotseat'], 'it stays, and nothing else');
  outlet.show(made.inode, { access: {} });
  outlet.hide();
  writeFileSync(join(dri, 'hotseat'), 'no socket');
  directory.read();
  assert.equal(readdirSync(dri), []);
  made.close();
  directory.close();
});

test('a seat that gets leases at its socket sees the names of its cards, and no nodes', () => {
  const directory = new SeatDirectory('named');
  const outlet = new Outlet(directory, () => ({ user: () => 0, group: () => 44 }), 'lease');
  const dri = join(directory.path, 'dev/dri');
  outlet.nameCards(new Set(['card1', 'card2']));
  const { mode, size, uid } = statSync(join(dri, 'card1'));
  assert.equal([mode & 0o7777, size, uid], [0, 0, 0]);
  writeFileSync(join(dri, 'card3'), '', { mode: 0 });
  writeFileSync(join(dri, 'card2'), 'not ours');
  writeFileSync(join(dri, 'cards'), '');
  directory.read();
  assert.equal(readdirSync(dri), ['card1'], 'what the container has made or changed goes');
  // Another agent leaves them until it knows.
  const next = new SeatDirectory('named');
  next.read();
  assert.equal(readdirSync(dri), ['card1']);
  new Outlet(next, () => ({ user: () => 0, group: () => 44 }), 'lease').nameCards(new Set());
  assert.equal(readdirSync(dri), []);
  next.makeNode({ class: 'dri', name: 'card1', number: { major: 1, minor: 3 }, uid: 0, gid: 0, mode: 0o600 });
  next.nameCards(new Set(['card1']));
  assert.ok(statSync(join(dri, 'card1')).isCharacterDevice(), 'a node is not taken for one');
  directory.close();
  next.close();
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
  await holdings.want({ cards: [card], sockets: [{ seat: 'left', path, shown: undefined, cgroup: own }] });
  await until('the card', () => holdings.state.cards[0]?.problem !== undefined);
  const [state] = holdings.state.cards;
  assert.match(state?.problem ?? '', /\/dev\/null cannot be held: \/dev\/null is another card/);
  const [socket] = holdings.state.sockets;
  const refused = launch(path, '--wait', '0');
  assert.is(await refused.done, 1);
  assert.match(refused.said.err, /is another card/);
  // The socket that the seat sees stays. If the seat sees another one, a new one is made.
  await holdings.want({ cards: [card], sockets: [{ seat: 'left', path, shown: socket?.inode, cgroup: own }] });
  assert.equal(holdings.state.sockets, [socket]);
  await holdings.want({ cards: [card], sockets: [{ seat: 'left', path, shown: undefined, cgroup: own }] });
  assert.is.not(holdings.state.sockets[0]?.inode, socket?.inode);
  await holdings.want({ cards: [], sockets: [] });
  assert.equal([holdings.state.cards, holdings.state.sockets], [[], []]);
});

test.after(() => {
  for (const visitor of visitors) visitor.kill('SIGKILL');
  return removeGroups(groups);
});
// Leftovers of a failed test would keep this process.
test.after(() => void setTimeout(() => process.exit(), 2000).unref());
test.run();
