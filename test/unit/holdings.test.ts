// Random histories of a shared card: outputs come and go, display servers come, go and are late. The card is /dev/zero with a model of
// the kernel's rules for leases behind it.

import { openSync, readdirSync, readlinkSync } from 'node:fs';
import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { CardCalls } from '../../agent/holder/card.js';
import { Holdings, type OpenLease } from '../../agent/holder/holdings.js';
import { SysError } from '../../agent/kernel/errors.js';

const node = '/dev/zero';
/** The file of a lease. */
const leased = '/dev/full';
const failed = (errno: number) => new SysError('ioctl', errno, 'the model');

/** A request takes a while now and then, as the next of `pauses` says. Each card is its master's descriptor. */
class Model implements CardCalls {
  readonly leases = new Map<number, { readonly card: number; readonly objects: readonly number[] }>();
  /** CRTCs on which a display server may show something, with their card. */
  readonly lit = new Set<string>();
  readonly faults: string[] = [];
  private readonly running = new Set<number>();
  private asked = 0;

  constructor(private readonly pauses: readonly number[]) {}

  private async request<T>(card: number, work: () => T): Promise<T> {
    if (this.running.has(card)) this.faults.push('two requests at once');
    this.running.add(card);
    await this.pause();
    try {
      return work();
    } finally {
      this.running.delete(card);
    }
  }

  private async pause(): Promise<void> {
    const ms = this.pauses[this.asked++ % this.pauses.length] ?? 0;
    if (ms > 0) await new Promise((resolve) => setTimeout(resolve, ms));
  }

  becomeMaster = (card: number) => this.request(card, () => undefined);
  connectorsOfCard = (card: number) =>
    this.request(card, () => [
      { id: 1, name: 'DP-1', crtcs: [10, 11] },
      { id: 2, name: 'DP-2', crtcs: [10] },
    ]);
  createLease = (card: number, objects: readonly number[]) =>
    this.request(card, () => {
      const taken = [...this.leases.values()].flatMap((one) => (one.card === card ? one.objects : []));
      if (objects.some((one) => taken.includes(one))) {
        this.faults.push('leased twice');
        throw failed(16);
      }
      let lessee = 1;
      while (this.leases.has(lessee)) lessee += 1;
      this.leases.set(lessee, { card, objects });
      for (const one of objects) if (one >= 10) this.lit.add(`${card} ${one}`);
      return { lessee, fd: openSync(leased, 'r') };
    });
  leasedObjects = async () => [];
  // The one request that waits for no other.
  revokeLease = async (_: number, lessee: number) => {
    await this.pause();
    if (this.leases.delete(lessee)) return;
    this.faults.push('revoked twice');
    throw failed(2);
  };
  switchOff = (card: number, crtc: number) => this.request(card, () => void this.lit.delete(`${card} ${crtc}`));
}

/** Open files of the card and of leases. */
const openFiles = (): string[] =>
  readdirSync('/proc/self/fd').flatMap((fd) => {
    try {
      const path = readlinkSync(`/proc/self/fd/${fd}`);
      return path === node || path === leased ? [path] : [];
    } catch {
      return [];
    }
  });

const event = fc.oneof(
  fc.record({ kind: fc.constant('want' as const), left: fc.boolean(), right: fc.boolean(), isThere: fc.boolean() }),
  fc.record({
    ...{ kind: fc.constant('open' as const), seat: fc.constantFrom('left', 'right'), server: fc.nat(2) },
    hasGone: fc.boolean(),
  }),
  fc.record({ kind: fc.constant('close' as const), which: fc.nat(5) }),
  fc.record({ kind: fc.constant('wait' as const), ms: fc.nat(4) }),
);

test('in whatever order they come, requests go one by one, no output is leased twice, and nothing is left over', async () => {
  const history = fc.array(event, { maxLength: 40 });
  const pauses = fc.array(fc.nat(3), { minLength: 1, maxLength: 10 });
  await fc.assert(
    fc.asyncProperty(history, pauses, async (events, slow) => {
      const model = new Model(slow);
      const nothing = (): void => undefined;
      const holdings = new Holdings(nothing, nothing, model);
      const servers = [{}, {}, {}];
      const open: OpenLease[] = [];
      const asked: Promise<void>[] = [];
      for (const one of events) {
        if (one.kind === 'wait') await new Promise((resolve) => setTimeout(resolve, one.ms));
        else if (one.kind === 'close') void open[one.which]?.end();
        else if (one.kind === 'want') {
          const seats = [
            { seat: 'left', connectors: one.left ? ['DP-1'] : [] },
            { seat: 'right', connectors: one.right ? ['DP-2'] : [] },
          ];
          const card = { node, number: '1:5', incarnation: '1', seats };
          void holdings.want({ cards: one.isThere ? [card] : [], sockets: [] });
        } else {
          const hand = (lease: OpenLease): void => {
            if (one.hasGone) throw new Error('it has gone');
            open.push(lease);
          };
          asked.push(holdings.openCard(one.seat, node, servers[one.server] ?? {}, hand).catch(nothing));
        }
      }
      await Promise.all(asked);
      await holdings.want({ cards: [], sockets: [] });
      assert.equal(model.faults, []);
      assert.equal([model.leases.size, [...model.lit], holdings.state.cards], [0, [], []]);
      assert.equal(openFiles(), []);
    }),
    { numRuns: 100 },
  );
});

test('while a display server asks for one card again, it is still known that it runs on without another one', async () => {
  const other = '/dev/null';
  const states: string[][] = [];
  const holdings = new Holdings(
    () => undefined,
    () => states.push(holdings.state.revoked.map((one) => one.node)),
    new Model([2]),
  );
  const cards = (connectors: readonly string[]) => [
    { node, number: '1:5', incarnation: '1', seats: [{ seat: 'left', connectors }] },
    { node: other, number: '1:3', incarnation: '1', seats: [{ seat: 'left', connectors: ['DP-1'] }] },
  ];
  const server = {};
  const open = (path: string) => holdings.openCard('left', path, server, () => undefined);
  await holdings.want({ cards: cards(['DP-2']), sockets: [] });
  await open(node);
  await open(other);
  await holdings.want({ cards: cards([]), sockets: [] });
  assert.equal(holdings.state.revoked, [{ seat: 'left', node }]);
  states.length = 0;
  await open(other);
  assert.ok(states.length > 1, 'else this shows nothing');
  assert.ok(
    states.every((nodes) => nodes.includes(node)),
    JSON.stringify(states),
  );
  await holdings.want({ cards: [], sockets: [] });
});

test('a display server that another one has replaced is known of until it has ended, and not without end', async () => {
  const nothing = (): void => undefined;
  const holdings = new Holdings(nothing, nothing, new Model([0]));
  const seats = [{ seat: 'left', connectors: ['DP-1'] }];
  const card = { node, number: '1:5', incarnation: '1', seats };
  const one = { seat: 'left', node };
  await holdings.want({ cards: [card], sockets: [] });
  const leases: OpenLease[] = [];
  const open = (server: object) => holdings.openCard('left', node, server, (lease) => void leases.push(lease));
  const [first, second] = [{}, {}];
  // The first one comes once more in between, and keeps what it had.
  for (const server of [first, second, first, second]) await open(server);
  assert.equal(holdings.state.replaced, [one, one, one]);
  await holdings.want({ cards: [], sockets: [] });
  assert.equal([holdings.state.revoked, holdings.state.replaced], [[one], [one, one, one]]);
  for (const [index, left] of [2, 1, 0].entries()) {
    await leases[index]?.end();
    assert.is(holdings.state.replaced?.length, left);
  }
  await leases[3]?.end();
  assert.equal(holdings.state.revoked, []);

  await holdings.want({ cards: [card], sockets: [] });
  for (let count = 0; count < 20; count++) await open({});
  assert.is(holdings.state.replaced?.length, 4, 'its pictures are its own affair');
  await holdings.want({ cards: [], sockets: [] });
});

test.after(() => void setTimeout(() => process.exit(), 2000).unref());
test.run();
