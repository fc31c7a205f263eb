import { basename } from 'node:path';
import type { Hidraws } from '../assign/hidraws.js';
import type { Unit } from '../core/device.js';
import { type LastWord, lastWords, powerTag } from '../core/last-word.js';
import { nameOf } from '../core/name.js';
import { isSplit } from '../core/outputs.js';
import { type Loan, lineOf, type SeatPolicy } from '../core/policy.js';
import { nodePath } from '../core/state.js';
import { type JournalEntry, nodeOf } from '../core/step.js';
import { type Claim, claimsOf, contestsOf, type Verdict } from '../core/verdict.js';
import type { DescriptorKeeper } from '../descriptors/descriptor-keeper.js';
import type { Engines } from '../engines/all.js';
import { rulesThat } from '../host/later-rules.js';
import type { OutputKeeper } from '../outputs/output-keeper.js';
import type { SeatController } from '../seat/controller.js';
import type { ShareKeeper } from '../shares/share-keeper.js';
import type { DeviceTable } from '../udev/table.js';
import { leftOf } from './inspect.js';
import type { AttachedStatus, SeatStatus, Status } from './messages.js';

/** The daemon's own facts, besides what the seats' controller knows. */
interface Facts {
  readonly policyErrors: readonly string[];
  readonly trialEnds: Date | undefined;
  readonly udev: Status['udev'];
  readonly audit: string | undefined;
  readonly loans: readonly Loan[];
  readonly leaks: readonly string[];
  readonly engines: Pick<Engines, 'absence' | 'heard'>;
  readonly shares: Pick<ShareKeeper, 'of'>;
  readonly outputs: Pick<OutputKeeper, 'of' | 'whyHeld'>;
  readonly descriptors: Pick<DescriptorKeeper, 'statusOf'>;
}

/** Everything that the agent knows, as `hotseat status --json` prints it. */
export function statusOf(controller: SeatController, table: DeviceTable, facts: Facts): Status {
  const { assignments } = controller;
  const reasonOf = ({ seat, container }: SeatPolicy): string => {
    const occupant = controller.occupantOf(seat);
    return occupant === undefined
      ? facts.engines.absence(container)
      : `${container.engine} container ${container.name} still has devices of seat ${occupant}`;
  };
  const units = table.units();
  /** Cards that the holder keeps from the seats that must have them as a whole. */
  const held = units.flatMap(({ id, subsystem, head }) => {
    const verdict = assignments.judged.get(id);
    const why = subsystem === 'drm' && !isSplit(verdict) ? facts.outputs.whyHeld(head) : undefined;
    return why === undefined ? [] : [{ seats: claimsOf(verdict).map(({ seat }) => seat), why }];
  });
  const seats = controller.seats.map(({ policy, worker }): SeatStatus => {
    const report = worker.report();
    const outputs = facts.outputs.of(policy.seat);
    const served = facts.descriptors.statusOf(policy.seat);
    return {
      seat: policy.seat,
      container: policy.container.name,
      engine: policy.container.engine,
      state: report.container?.state ?? 'waiting',
      reason: report.container === undefined ? reasonOf(policy) : undefined,
      problem: report.problem ?? held.find(({ seats }) => seats.includes(policy.seat))?.why,
      deaf: report.deaf,
      udev: report.udev,
      unmatched: policy.rules
        .filter((rule) => !assignments.hasMatched(rule))
        .map(({ label, place }) => ({ label, place: lineOf(place) })),
      devices: report.entries
        .filter((entry) => nodeOf(entry) !== undefined)
        .map((entry) => ({
          node: pathOf(entry),
          ...(entry.served === undefined ? {} : { receive: entry.node === undefined ? 'descriptor' : 'both' }),
          name: entry.silent
            ? basename(entry.syspath)
            : nameOf(table.unit(entry.unit) ?? table.unit(table.readAt(entry.unit)[0] ?? '')),
          rule: entry.rule,
          // Nobody is ever told of a silent one: the node is all.
          announced: report.container !== undefined && (entry.silent || entry.knownTo === report.container.key),
        })),
      shares: facts.shares.of(policy.seat),
      ...(served === undefined ? {} : { served }),
      ...(outputs.length === 0 ? {} : { outputs }),
    };
  });
  const conflicts = [...assignments.judged].flatMap(([device, verdict]) =>
    verdict.kind === 'conflict'
      ? [{ device, rules: wantedBy(verdict.claims) }]
      : contestsOf(verdict).map(({ connector, claims }) => ({
          device: `${device} ${connector}`,
          rules: wantedBy(claims),
        })),
  );
  return {
    revision: assignments.revision,
    policyErrors: facts.policyErrors,
    trialEnds: facts.trialEnds?.toISOString(),
    seats,
    conflicts,
    withheld: [...assignments.hidraws.withheld(), ...assignments.plain.withheld()],
    unread: assignments.unreadable(),
    left: leftOf(units, assignments.judged),
    host: hostWords(units, assignments.judged, assignments.hidraws.judged()),
    leaks: facts.leaks,
    udev: facts.udev,
    audit: facts.audit,
    engines: facts.engines.heard,
    attached: facts.loans.map(attachedOf),
    pid: process.pid,
  };
}

/** Where udevd's final answer on a seat's device, or on a raw node, is not the verdict, with the rule that says so. */
export const hostWords = (
  units: readonly Unit[],
  judged: ReadonlyMap<string, Verdict>,
  raws: ReturnType<Hidraws['judged']> = [],
): Status['host'] => {
  const verdicts = new Map([...judged, ...raws.map(({ unit, verdict }) => [unit.id, verdict] as const)]);
  const all = [...units, ...raws.map(({ unit }) => unit)];
  return lastWords(all, verdicts).map(({ device, ...word }) => ({ device, reason: wordText(word) }));
};

function pathOf(entry: JournalEntry): string | undefined {
  const node = nodeOf(entry);
  return node && nodePath(node);
}

const wantedBy = (claims: readonly Claim[]): string[] =>
  claims.map(({ seat, rule }) => `${seat} ${lineOf(rule.place)}`);

/** The other seat that udevd names, and its rule. */
function wordText({ what, got, wanted }: Omit<LastWord, 'device'>): string {
  const rules = rulesThat(what, got);
  const by = rules.length === 0 ? '' : ` (${rules.join(', ')})`;
  if (what === 'seat') return `udev has it at ${got === '' ? 'no seat' : got} instead of ${wanted}${by}: ${seatRemedy}`;
  if (got === powerTag)
    return `udev gives its power keys to the host's logind by the tag ${got}${by}: take it out of that rule`;
  return `udev gives the host's own users access by the tag ${got}${by}: take it out of that rule`;
}

const seatRemedy = "have that rule leave it alone, or sort it before Hotseat's (72-zz-hotseat.rules)";

/** A loan as it is told of. */
export const attachedOf = ({ name, thing, seat, until, by }: Loan): AttachedStatus => ({
  ...{ name, port: thing.path, seat, by },
  until: until === undefined ? undefined : new Date(until).toISOString(),
});
