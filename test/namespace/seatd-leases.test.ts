// A seat's outputs of a shared card, opened at the seat's socket as libseat opens a card. The card is a plain character device, and
// a model of the kernel's rules for leases (drm_lease.c) stands behind it; `lab/lease` has the real ones.

import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, openSync, readdirSync, rmSync } from 'node:fs';
import { createConnection } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { SeatOutputs } from '../../agent/core/leases.js';
import type { CardCalls } from '../../agent/holder/card.js';
import { Holdings } from '../../agent/holder/holdings.js';
import type { ServedSeat } from '../../agent/holder/messages.js';
import { Seats } from '../../agent/holder/seats.js';
import { cgroupOf, cgroupRoot } from '../../agent/kernel/cgroup.js';
import { SysError } from '../../agent/kernel/errors.js';
import { children, connectTo, error, leave, opened, openSeat, type SeatdAsker, seatOpened } from './asking-seatd.js';
import { removeGroups } from './remove-groups.js';
import { until } from './until.js';

const groups = ['left', 'right'].map((name) => join(cgroupRoot(), `hotseat-leases-${process.pid}-${name}`));
for (const group of groups) mkdirSync(group);
const home = mkdtempSync(join(tmpdir(), 'hotseat-leases-'));

/** The kernel's side of a card, with its rules for leases: a lessee's number is the lowest free one, an object is leased once. */
class ModelCard implements CardCalls {
  readonly leases = new Map<number, readonly number[]>();
  /** Changes of CRTCs and leases, in order. */
  readonly done: string[] = [];
  empty = 0;
  /** Requests wait for this, but for revocations: these need another lock. */
  private busy: Promise<void> = Promise.resolve();

  /** Requests do not end before the function is called that this returns. */
  keepBusy(): () => void {
    let end: () => void = () => undefined;
    this.busy = new Promise((resolve) => {
      end = resolve;
    });
    return end;
  }

  becomeMaster = async () => undefined;
  connectorsOfCard = async () => {
    await this.busy;
    return [
      { id: 1, name: 'DP-1', crtcs: [10, 11] },
      { id: 2, name: 'DP-2', crtcs: [10] },
    ];
  };
  createLease = async (_: number, objects: readonly number[]) => {
    await this.busy;
    if (objects.some((one) => [...this.leases.values()].flat().includes(one))) throw failed(16);
    let lessee = 1;
    while (this.leases.has(lessee)) lessee += 1;
    if (objects.length > 0) {
      this.leases.set(lessee, objects);
      this.done.push(`lease ${objects.join(' ')}`);
    } else this.empty += 1;
    return { lessee, fd: openSync('/dev/zero', 'r') };
  };
  leasedObjects = async () => [...this.leases.values()].flat();
  revokeLease = async (_: number, lessee: number) => {
    if (!this.leases.delete(lessee)) throw failed(2);
    this.done.push('revoke');
  };
  switchOff = async (_: number, crtc: number) => {
    await this.busy;
    this.done.push(`off ${crtc}`);
  };
}
const failed = (errno: number) => new SysError('ioctl', errno, 'the model');

const model = new ModelCard();
const said: string[] = [];
const say = (text: string): void => void said.push(text);
const holdings = new Holdings(say, () => undefined, model);
const seats = new Seats(say, () => undefined, holdings);
const node = join(home, 'card7');
execFileSync('mknod', [node, 'c', '1', '7']);

const socketOf = (seat: string): string => join(home, `${seat}.sock`);
const leaseSocket = join(home, 'left.lease');

const outputs = (left: readonly string[], right: readonly string[]): SeatOutputs[] => [
  { seat: 'left', connectors: left },
  { seat: 'right', connectors: right },
];
async function divide(shares: readonly SeatOutputs[], incarnation = '1'): Promise<void> {
  const shown = holdings.state.sockets[0]?.inode;
  const sockets = [{ seat: 'left', path: leaseSocket, shown, cgroup: cgroupOf(process.pid) }];
  await holdings.want({ cards: [{ node, number: '1:7', incarnation, seats: shares }], sockets });
}

let serial = 0;
const serve = () =>
  seats.want({
    serial: ++serial,
    seats: ['left', 'right'].map((seat, index): ServedSeat => {
      const cgroup = groups[index];
      return { seat, path: socketOf(seat), shown: undefined, cgroup, answersSwitch: true, devices: [] };
    }),
    isAll: true,
  });

async function atSeat(seat: 'left' | 'right'): Promise<SeatdAsker> {
  const client = await connectTo(socketOf(seat), groups[seat === 'left' ? 0 : 1] ?? '');
  client.say(openSeat);
  assert.is(await client.next(), seatOpened);
  assert.is(await client.next(), '8006');
  return client;
}
const leasedTo = (seat: string): readonly string[] =>
  holdings.state.cards[0]?.seats.find((one) => one.seat === seat)?.leased ?? [];
const revoked = (): string[] => holdings.state.revoked.map(({ seat }) => seat);
/** The changes since the last call. */
const doneSince = (): string[] => model.done.splice(0);
const lease = (id: number): string => `8003 0${id}000000 1:5`;

test('a display server that opens the card gets a lease of its seat’s outputs, and its end is the end of the lease', async () => {
  await divide(outputs(['DP-1'], ['DP-2']));
  await serve();
  await until('the former picture to go', () => model.done.length === 2);
  assert.equal(doneSince(), ['off 10', 'off 11']);
  const left = await atSeat('left');
  left.say(opened(node));
  assert.is(await left.next(), lease(1));
  // DP-2 has no other CRTC than 10.
  assert.equal(doneSince(), ['off 11', 'lease 11 1']);
  assert.equal([leasedTo('left'), leasedTo('right')], [['DP-1'], []]);
  const right = await atSeat('right');
  right.say(opened(node));
  assert.is(await right.next(), lease(1));
  assert.equal(doneSince(), ['off 10', 'lease 10 2']);
  left.say('0400040001000000');
  assert.is(await left.next(), '8004');
  assert.equal(doneSince(), ['revoke', 'off 11'], 'closed: first the permission, then the picture');
  left.say(opened(node));
  assert.is(await left.next(), lease(2), 'it may open it again');
  doneSince();
  await leave(left);
  await until('its lease to end', () => leasedTo('left').length === 0);
  assert.equal(doneSince(), ['revoke', 'off 11'], 'a connection that ends');
  assert.equal([leasedTo('right'), revoked()], [['DP-2'], []], 'nobody else has a part in it');
  await leave(right);
  await until('the other one, too', () => model.leases.size === 0);
});

test('a card of which the seat has no output is no card of the seat’s, whatever way the path takes', async () => {
  await divide(outputs([], ['DP-2']));
  const left = await atSeat('left');
  for (const path of [node, `${home}//card7`, `${home}/../card7`, '/dev/dri/card0']) {
    left.say(opened(path));
    assert.is(await left.next(), error(2), `${path}: ENOENT`);
  }
  await divide(outputs(['DP-9'], ['DP-2']));
  left.say(opened(node));
  assert.is(await left.next(), error(19), 'ENODEV');
  assert.ok(said.some((text) => text === `left: ${node}: the card has no connector DP-9`));
  assert.equal(leasedTo('left'), []);
  await leave(left);
});

test('a second open is another lease: the first one is dead, and closing it late ends nothing', async () => {
  await divide(outputs(['DP-1'], ['DP-2']));
  const left = await atSeat('left');
  left.say(opened(node));
  assert.is(await left.next(), lease(1));
  doneSince();
  left.say(opened(node));
  assert.is(await left.next(), lease(2));
  assert.equal(doneSince(), ['revoke', 'off 11', 'off 11', 'lease 11 1']);
  left.say('0400040001000000');
  assert.is(await left.next(), '8004');
  assert.equal([doneSince(), leasedTo('left')], [[], ['DP-1']]);
  await leave(left);
  await until('its lease to end', () => leasedTo('left').length === 0);
});

test('who waits for the seat gets no lease, and takes none from who is there', async () => {
  const first = await atSeat('left');
  first.say(opened(node));
  assert.is(await first.next(), lease(1));
  const second = await connectTo(socketOf('left'), groups[0] ?? '');
  second.say(openSeat + opened(node));
  assert.is(await second.next(), seatOpened);
  assert.is(await second.next(), error(1), 'EPERM');
  assert.equal(leasedTo('left'), ['DP-1']);
  await leave(first);
  assert.is(await second.next(), '8006');
  second.say(opened(node));
  assert.is(await second.next(), lease(1));
  await leave(second);
  await until('its lease to end', () => leasedTo('left').length === 0);
});

test('an output that is taken away is revoked and dark at once; the display server stays, is named, and gets no other one', async () => {
  const left = await atSeat('left');
  const right = await atSeat('right');
  for (const one of [left, right]) {
    one.say(opened(node));
    assert.is(await one.next(), lease(1));
  }
  doneSince();
  await divide(outputs([], ['DP-2']));
  assert.equal(doneSince(), ['revoke', 'off 11']);
  assert.equal([revoked(), leasedTo('right')], [['left'], ['DP-2']]);
  left.say(opened(node));
  assert.is(await left.next(), error(2), 'ENOENT');
  left.say('0400040001000000');
  assert.is(await left.next(), '8004', 'closing it late is fine');
  assert.equal([doneSince(), revoked()], [[], []]);
  await leave(left);
  await leave(right);
  await until('the other lease to end', () => model.leases.size === 0);
});

test('an output that goes while its display server waits for its turn is not leased', async () => {
  await divide(outputs(['DP-1'], ['DP-2']));
  const left = await atSeat('left');
  left.say(opened(node));
  assert.is(await left.next(), lease(1));
  left.say(opened(node));
  await new Promise((resolve) => setTimeout(resolve, 50));
  await divide(outputs([], ['DP-2']));
  assert.is(await left.next(), error(19), 'ENODEV');
  assert.is(model.leases.size, 0);
  await leave(left);
});

test('who opens the card without end gets five leases a second, and other seats theirs at once', async () => {
  await divide(outputs(['DP-1'], ['DP-2']));
  const left = await atSeat('left');
  left.say(opened(node).repeat(100));
  const right = await atSeat('right');
  const began = performance.now();
  right.say(opened(node));
  assert.is(await right.next(), lease(1));
  assert.ok(performance.now() - began < 1000);
  doneSince();
  const from = performance.now();
  await new Promise((resolve) => setTimeout(resolve, 500));
  const count = doneSince().filter((text) => text.startsWith('lease 11')).length;
  const most = (performance.now() - from) / 200 + 1;
  assert.ok(count >= 1 && count <= most, `${count} leases of at most ${most}`);
  await leave(left);
  await leave(right);
  await until('all leases to end', () => model.leases.size === 0);
});

test('a card that was plugged again is another one: its lease is a new one, and nothing is left to be restarted', async () => {
  const left = await atSeat('left');
  left.say(opened(node));
  assert.is(await left.next(), lease(1));
  await divide(outputs(['DP-1'], ['DP-2']), '2');
  assert.equal([leasedTo('left'), revoked(), model.leases.size], [[], ['left'], 0]);
  left.say(opened(node));
  assert.is(await left.next(), lease(2));
  assert.equal([leasedTo('left'), revoked()], [['DP-1'], []]);
  await seats.want({ serial: ++serial, seats: [], isAll: true });
  assert.is(await left.next(), 'closed');
  await until('its lease to end with its session', () => leasedTo('left').length === 0 && model.leases.size === 0);
  await serve();
  await divide(outputs(['DP-1'], ['DP-2']));
  await leave(left);
});

/** Says a line at the socket for leases; the answer, and the connection, for as long as it is open. */
const asked = (line: string) =>
  new Promise<{ answer: string; close: () => void; isClosed: () => boolean }>((resolve, reject) => {
    let isClosed = false;
    const one = createConnection(leaseSocket, () => one.write(`${line}\n`));
    one.once('data', (data) =>
      resolve({ answer: String(data).trim(), close: () => one.destroy(), isClosed: () => isClosed }),
    );
    one.on('error', reject);
    one.on('close', () => {
      isClosed = true;
    });
  });

test('there is one display server at a seat: a launcher’s takes the outputs from that at the socket, and the other way round', async () => {
  const left = await atSeat('left');
  left.say(opened(node));
  assert.is(await left.next(), lease(1));
  const launched = await asked('lease');
  assert.is(launched.answer, '{"card":"card7","outputs":["DP-1"]}');
  left.say('0400040001000000');
  assert.is(await left.next(), '8004');
  assert.equal(leasedTo('left'), ['DP-1'], 'its own lease was over already');
  left.say(opened(node));
  assert.is(await left.next(), lease(2));
  const replaced = () => holdings.state.replaced?.map(({ seat }) => seat);
  assert.equal([launched.isClosed(), replaced()], [false, ['left']], 'its connection tells when it ends');
  launched.close();
  await until('its end to be heard', () => replaced()?.length === 0);
  assert.equal(leasedTo('left'), ['DP-1']);
  await leave(left);
  await until('its lease to end', () => leasedTo('left').length === 0);
});

test('a lease of nothing is for a seat that has a lease, and takes nothing from anybody', async () => {
  const refused = await asked('empty card7');
  assert.is(refused.answer, `{"error":"this seat has no lease of ${node}"}`);
  const left = await atSeat('left');
  left.say(opened(node));
  assert.is(await left.next(), lease(1));
  doneSince();
  const files = readdirSync('/proc/self/fd').length;
  const given = await asked('empty card7');
  assert.is(given.answer, '{"card":"card7"}');
  await until('the connection to end', given.isClosed);
  assert.equal([doneSince(), leasedTo('left'), model.empty], [[], ['DP-1'], 1]);
  assert.ok(readdirSync('/proc/self/fd').length <= files, 'the holder keeps none');
  assert.is((await asked('empty card8')).answer, '{"error":"this seat has no output of card8"}');
  assert.is((await asked('empty ../card7')).answer, '{"error":"say lease, or lease and the name of a card"}');
  assert.is((await asked('empty')).answer, '{"error":"say lease, or lease and the name of a card"}');
  assert.is(model.empty, 1);
  await leave(left);
});

const refusal = `${node} does not answer: a program that has an output of it keeps the kernel busy with it`;
const problem = () => holdings.state.cards[0]?.problem;

test('who waits for a card that is kept busy is refused in time, and a lease that comes later is taken back at once', async () => {
  await divide(outputs(['DP-1'], ['DP-2']));
  const left = await atSeat('left');
  const right = await atSeat('right');
  right.say(opened(node));
  assert.is(await right.next(), lease(1));
  doneSince();
  const files = readdirSync('/proc/self/fd').length;
  const end = model.keepBusy();
  left.say(opened(node));
  const began = performance.now();
  assert.is(await left.next(), error(16), 'EBUSY');
  assert.ok(performance.now() - began < 4500);
  assert.is(problem(), refusal);
  assert.ok(said.includes(`left: ${node}: ${refusal}`));
  const again = performance.now();
  assert.is((await asked('empty card7')).answer, JSON.stringify({ error: refusal }));
  assert.is((await asked('lease')).answer, JSON.stringify({ error: refusal }));
  assert.ok(performance.now() - again < 1000, 'nobody waits twice');
  assert.equal([leasedTo('left'), leasedTo('right')], [[], ['DP-2']]);
  end();
  await until('the card to answer', () => problem() === undefined);
  assert.equal([leasedTo('left'), doneSince()], [[], ['off 11', 'lease 11 1', 'revoke', 'off 11']]);
  assert.equal(readdirSync('/proc/self/fd').length, files, 'nothing is left open');
  left.say(opened(node));
  assert.is(await left.next(), lease(1));
  await leave(left);
  await leave(right);
  await until('all leases to end', () => model.leases.size === 0);
});

test('a client that goes while its lease is being made leaves none behind', async () => {
  const left = await atSeat('left');
  doneSince();
  const end = model.keepBusy();
  left.say(opened(node));
  await new Promise((resolve) => setTimeout(resolve, 300));
  await leave(left);
  await until('its end to be heard', () => seats.state.every(({ isOpen }) => !isOpen));
  end();
  await until('the lease to be over', () => model.done.includes('revoke') || model.leases.size === 0);
  await holdings.want({ cards: [], sockets: [] });
  assert.equal([model.leases.size, leasedTo('left')], [0, []]);
});

test('an output is revoked at once, also while another request of its seat never ends', async () => {
  await divide(outputs(['DP-1'], ['DP-2']));
  const left = await atSeat('left');
  left.say(opened(node));
  assert.is(await left.next(), lease(1));
  const end = model.keepBusy();
  // A second program of the seat.
  const second = asked('empty card7');
  await new Promise((resolve) => setTimeout(resolve, 100));
  doneSince();
  const divided = divide(outputs([], ['DP-2']));
  await until('its revocation', () => model.leases.size === 0);
  assert.equal(doneSince(), ['revoke']);
  end();
  await Promise.all([divided, second]);
  assert.equal([leasedTo('left'), revoked()], [[], ['left']]);
  await leave(left);
});

test('a card that does not answer takes nothing from who has it, for somebody whom it refuses', async () => {
  await divide(outputs(['DP-1'], ['DP-2']));
  const left = await atSeat('left');
  const right = await atSeat('right');
  left.say(opened(node));
  assert.is(await left.next(), lease(1));
  doneSince();
  const end = model.keepBusy();
  right.say(opened(node));
  assert.is(await right.next(), error(16));
  // A launcher of the seat that has its output.
  assert.is((await asked('lease')).answer, JSON.stringify({ error: refusal }));
  end();
  await until('the card to answer', () => problem() === undefined);
  assert.equal([leasedTo('left'), doneSince()], [['DP-1'], ['off 10', 'lease 10 2', 'revoke', 'off 10']]);
  await leave(left);
  await leave(right);
  await until('all leases to end', () => model.leases.size === 0);
});

test('an output that cannot be taken back yet counts as leased, and whoever gets the card next waits for that', async () => {
  await divide(outputs(['DP-1'], ['DP-2']));
  const left = await atSeat('left');
  left.say(opened(node));
  assert.is(await left.next(), lease(1));
  doneSince();
  const end = model.keepBusy();
  const divided = divide(outputs([], ['DP-2']));
  await until('the state to say so', () => problem() === refusal);
  assert.equal(
    [leasedTo('left'), revoked(), doneSince()],
    [['DP-1'], [], ['revoke']],
    'it draws no more, and its picture is on',
  );
  const gone = holdings.want({ cards: [], sockets: [] });
  assert.equal(leasedTo('left'), ['DP-1'], 'the card is not let go either');
  end();
  await Promise.all([divided, gone]);
  assert.equal(holdings.state.cards, []);
  // Its picture went with the lease, and once more before anybody else may have the card: the display server runs on.
  assert.equal(doneSince(), ['off 11', 'off 10', 'off 11']);
  await leave(left);
});

test.after(async () => {
  for (const child of children) child.kill('SIGKILL');
  await seats.want({ serial: ++serial, seats: [], isAll: true });
  await holdings.want({ cards: [], sockets: [] });
  await removeGroups(groups);
  rmSync(home, { recursive: true });
  setTimeout(() => process.exit(), 2000).unref();
});

test.run();
