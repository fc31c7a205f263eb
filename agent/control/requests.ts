import { basename, join } from 'node:path';
import type { LoanBook } from '../active/loan-book.js';
import type { PolicyManager } from '../active/manager.js';
import type { Overrides } from '../active/overrides.js';
import type { Assignments } from '../assign/assignments.js';
import type { Trail } from '../audit/trail.js';
import type { Asker } from '../core/audit.js';
import { holdersOf, type Unit } from '../core/device.js';
import { findOutput, findRaw, findUnit, type Output, rawRefused } from '../core/find-unit.js';
import { ControlError } from '../core/refusal.js';
import { whole } from '../core/scope.js';
import { originOf } from '../core/shares.js';
import type { DescriptorKeeper } from '../descriptors/descriptor-keeper.js';
import type { Engines } from '../engines/all.js';
import type { Consoles } from '../host/consoles.js';
import type { Helpers } from '../kernel/helpers.js';
import type { OutputKeeper } from '../outputs/output-keeper.js';
import type { SeatController } from '../seat/controller.js';
import { explainShares, type ShareExplanation } from '../shares/compare.js';
import type { ShareKeeper } from '../shares/share-keeper.js';
import { type Connector, connectorsOf } from '../udev/connectors.js';
import { isUdevdThere } from '../udev/presence.js';
import type { SlowAttributes } from '../udev/slow-attributes.js';
import type { UdevSource } from '../udev/source.js';
import type { DeviceTable } from '../udev/table.js';
import { attached } from './attached.js';
import {
  explanationOf,
  inventoryOf,
  leftBeside,
  namesWithheld,
  outputExplanationOf,
  outputInfo,
  planOf,
  rawExplanationOf,
  recordOf,
} from './inspect.js';
import type { Answerable, Answers, DeviceInfo, Explanation, IdentifiedOutput, Status } from './messages.js';
import { type Counts, metricsOf } from './metrics.js';
import { SharedLook } from './shared-look.js';
import { statusOf } from './status.js';

type Wait = Extract<Answerable, { readonly verb: 'wait' }>;
type Identify = Extract<Answerable, { readonly verb: 'identify' }>;

/** The rooms that answer. */
export interface Rooms {
  readonly controller: SeatController;
  readonly assignments: Assignments;
  readonly table: DeviceTable;
  readonly manager: PolicyManager;
  readonly overrides: Overrides;
  readonly book: LoanBook;
  readonly engines: Engines;
  readonly consoles: Consoles;
  readonly udev: UdevSource;
  readonly trail: Trail;
  readonly counts: Counts;
  readonly shares: ShareKeeper;
  readonly outputs: OutputKeeper;
  readonly descriptors: DescriptorKeeper;
  readonly slow: SlowAttributes;
  readonly helpers: Helpers;
}

type Answer = Answers[Answerable['verb']];

/** How each verb is answered. */
type Answering = {
  readonly [Name in Answerable['verb']]: (
    request: Extract<Answerable, { readonly verb: Name }>,
    by: Asker,
  ) => Answers[Name] | Promise<Answers[Name]>;
};

/** Answers requests over the control socket, one request after the other or several at once. */
export function answerer(rooms: Rooms): (request: Answerable, by: Asker) => Promise<Answer> {
  const { controller, assignments, table, manager, overrides, trail, counts, engines } = rooms;
  // A change of another seat's container that is seen here is seen by nobody else.
  let served = new Map<string, Promise<void>>();
  const look = new SharedLook(() => {
    served = new Map();
    void controller.serve(controller.populate(engines.list()));
  });
  // However many wait for a seat, it is served once after each look.
  const serve = (seat: string): Promise<void> => {
    const serving = served.get(seat) ?? controller.serve(whole([seat]));
    served.set(seat, serving);
    return serving;
  };
  const answering: Answering = {
    status: () => status(rooms),
    reload: async ({ force, confirmMs, allowRollback }, by) => ({
      revision: await manager.reload(force, confirmMs, by, allowRollback),
    }),
    confirm: (_, by) => ({ revision: manager.confirm(by) }),
    attach: ({ device, seat, forMs, force }, by) =>
      attached(rooms, () => overrides.attach({ device, seat, forMs, force }, by)),
    detach: ({ device }, by) => attached(rooms, () => overrides.detach(device, by)),
    devices: async () => {
      // Their names are those of the USB devices above them.
      await learn(
        rooms,
        assignments.hidraws.alone().map(({ unit }) => unit),
      );
      return Promise.all(inventory(rooms).map((info) => withOutputs(info, rooms)));
    },
    explain: async ({ device }) => {
      const raw = findRaw(table.rawUnits(), device);
      if (raw !== undefined) {
        await learn(rooms, [raw]);
        return explainRaw(rooms, raw);
      }
      const plain = assignments.plain.find(device);
      if (plain !== undefined) {
        const lacks = assignments.plain.withheld().filter((one) => one.device === plain.unit.id);
        return explanationOf(plain.unit, plain.verdict, assignments.revision, lacks);
      }
      const output = findOutput(table.units(), device);
      if (output !== undefined) return explainOutput(rooms, output);
      const unit = findUnit(table.units(), device);
      const left = leftBeside(unit, table.units(), assignments.judged);
      const verdict = assignments.judged.get(unit.id);
      const withheld = [...assignments.hidraws.withheld(unit.id), ...namesWithheld(unit, verdict)];
      const explanation = explanationOf(unit, verdict, assignments.revision, withheld, left);
      const [unread] = assignments.unreadable(unit.id);
      return withOutputs(unread === undefined ? explanation : { ...explanation, reason: unread.reason }, rooms);
    },
    identify: (request) => identify(rooms, request),
    'explain-shares': ({ seat }) => explainSeat(rooms, seat),
    record: async ({ device, unmask }) => {
      const raw = findRaw(table.rawUnits(), device);
      if (raw !== undefined) throw rawRefused(raw, table.readAt(raw.id));
      const unit = findUnit(table.units(), device);
      const unread = await learn(rooms, [unit]);
      if (unread.length > 0)
        throw new ControlError('unread', 'not all of the device can be read', [rooms.slow.why(unread)]);
      return recordOf(table.units(), device, unmask);
    },
    plan: async ({ revision }) =>
      planOf(await manager.peek(revision), table.units(), assignments.judged, assignments.seats),
    metrics: () => metricsOf(status(rooms), trail, counts.families()),
    wait: async (request) => {
      await wait(assignments, look, serve, request);
      return null;
    },
  };
  return async (request, by) => {
    // TypeScript does not see that a verb and its request come together.
    const answer = answering[request.verb] as (request: Answerable, by: Asker) => Answer | Promise<Answer>;
    return answer(request, by);
  };
}

/** Gets read what is not known of these units; returns the devices of which that was not possible in time. */
async function learn({ slow }: Rooms, units: readonly Unit[]): Promise<string[]> {
  const unread = (): string[] =>
    units.flatMap(({ head }) =>
      holdersOf(head).flatMap(({ syspath, unread = [] }) => (unread.length > 0 ? syspath : [])),
    );
  await slow.learn(unread());
  return unread();
}

const inventory = ({ assignments, table }: Rooms): DeviceInfo[] =>
  inventoryOf(table.units(), assignments.judged, assignments.hidraws.alone(), assignments.seats, assignments.revision);

/** Why a raw node of a device without any input is where it is. @throws for other raw nodes, which go where their inputs go. */
function explainRaw({ assignments, table }: Rooms, raw: Unit): Explanation {
  const alone = assignments.hidraws.alone().find(({ unit }) => unit.id === raw.id);
  if (alone === undefined) throw rawRefused(raw, table.readAt(raw.id));
  return rawExplanationOf(raw, alone.placement, assignments.seats, assignments.revision);
}

async function explainOutput({ assignments, helpers }: Rooms, output: Output): Promise<Explanation> {
  const { unit, connector } = output;
  const seen = (await connectorsOf(unit.head.syspath, helpers)).find(({ name }) => name === connector);
  return outputExplanationOf(output, seen ?? unseen(connector), assignments.judged.get(unit.id), assignments.revision);
}

/** Shows the name of an output on it. */
async function identify(
  { assignments, table, outputs }: Rooms,
  { output: name, forMs }: Identify,
): Promise<IdentifiedOutput> {
  const output = findOutput(table.units(), name);
  if (output === undefined) throw new ControlError('no-output', `no output is called ${JSON.stringify(name)}`);
  await outputs.identify(output, forMs);
  const { judged, revision } = assignments;
  const { owner = 'nobody' } = outputInfo(unseen(output.connector), judged.get(output.unit.id), revision);
  return { output: `${output.unit.head.sysname}-${output.connector}`, owner, forMs };
}

/** An output of which nothing is to be said but whose it is. */
const unseen = (name: string): Connector => ({ name, status: 'unknown', monitor: undefined });

/** A graphics card with its outputs as they can be seen; their names have no place in udev's database. */
async function withOutputs<T extends DeviceInfo>(info: T, { assignments, helpers }: Rooms): Promise<T> {
  const { judged, revision } = assignments;
  const card = info.nodes.find((node) => /^\/dev\/dri\/card\d+$/.test(node));
  if (card === undefined) return info;
  const connectors = await connectorsOf(join(info.device, basename(card)), helpers);
  return { ...info, outputs: connectors.map((one) => outputInfo(one, judged.get(info.device), revision)) };
}

const status = ({
  controller,
  table,
  manager,
  book,
  engines,
  consoles,
  udev,
  shares,
  outputs,
  descriptors,
  trail,
}: Rooms): Status =>
  statusOf(controller, table, {
    policyErrors: manager.errors,
    trialEnds: manager.trialEnds,
    udev: { ...udev.stats, away: awayOf(udev) },
    audit: trail.problem,
    leaks: consoles.leaks(),
    loans: book.loans,
    engines,
    shares,
    outputs,
    descriptors,
  });

/** The reasons for a seat's shares, and their worth beside the other seats. */
function explainSeat({ assignments, shares }: Rooms, seat: string): ShareExplanation {
  const policy = assignments.seats.find((one) => one.seat === seat);
  if (policy === undefined) {
    const names = assignments.seats.map((one) => one.seat).join(', ') || 'there are none';
    throw new ControlError('no-seat', `no seat is called ${JSON.stringify(seat)}: ${names}`);
  }
  const placed = shares.placed();
  const one = placed.find((other) => other.seat === seat);
  const now = shares.of(seat);
  if (one === undefined || now === undefined) {
    throw new ControlError('not-running', `the container of ${seat} does not run: its shares are set when it starts`);
  }
  const others = placed.filter((other) => other !== one);
  return explainShares(one, others, (name) => originOf(name, policy), { means: now.means, problem: now.problem });
}

/** Why nothing of udev is heard now. */
function awayOf(udev: UdevSource): string | undefined {
  if (!isUdevdThere()) return 'udevd is away: systemctl start systemd-udevd';
  return udev.isListening ? undefined : 'the process that listens to udevd is being started again';
}

/** Settles when everything that the named container must have is granted to it, or the time is over. */
async function wait(
  assignments: Assignments,
  look: SharedLook,
  serve: (seat: string) => Promise<void>,
  { container, engine, timeoutMs }: Wait,
): Promise<void> {
  const seats = assignments.seatsOfContainer(container, engine);
  if (seats.length === 0) return;
  let timer: NodeJS.Timeout | undefined;
  const over = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, timeoutMs).unref();
  });
  await Promise.race([look.taken().then(() => Promise.all(seats.map(serve))), over]);
  clearTimeout(timer);
}
