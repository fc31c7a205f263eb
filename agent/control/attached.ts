import { setTimeout as sleep } from 'node:timers/promises';
import type { Assignments } from '../assign/assignments.js';
import { ownerOf, ownerText } from '../core/changes.js';
import type { Unit } from '../core/device.js';
import { isOf } from '../core/loan.js';
import type { Loan } from '../core/policy.js';
import type { SeatController } from '../seat/controller.js';
import type { DeviceTable } from '../udev/table.js';
import type { Attached } from './messages.js';
import { attachedOf } from './status.js';

/** Longest that a device may take to come back after its driver was bound again, ms: udevd tells of it as a new one. */
const returnMs = 10_000;
/** How often it is looked for meanwhile, ms. */
const everyMs = 50;

/** Who knows where devices are. */
export interface Whereabouts {
  readonly controller: Pick<SeatController, 'problems'>;
  readonly assignments: Pick<Assignments, 'judged' | 'holders'>;
  readonly table: Pick<DeviceTable, 'units'>;
}

/**
 * Makes or ends a loan by `move`, and tells whose the device is then, if it is plugged. A device whose driver had to be bound again
 * is away for a moment: this waits for its return. Rejects as `move` does.
 */
export async function attached(where: Whereabouts, move: () => Promise<Loan>): Promise<Attached> {
  const before = where.table.units();
  const loan = await move();
  // Nobody brings back a device that was not there.
  const wasPlugged = find(before, loan) !== undefined;
  const end = performance.now() + returnMs;
  for (;;) {
    const { told, isAway } = toldOf(where, loan);
    if (!isAway || !wasPlugged || performance.now() >= end) return told;
    await sleep(everyMs);
  }
}

const find = (units: readonly Unit[], loan: Loan): Unit | undefined => units.find((unit) => isOf(loan, unit));

/** `isAway`: the device is not where it must be, and nothing is known to keep it from there. */
function toldOf(
  { controller, assignments, table }: Whereabouts,
  loan: Loan,
): { readonly told: Attached; readonly isAway: boolean } {
  const unit = find(table.units(), loan);
  const verdict = unit && assignments.judged.get(unit.id);
  if (unit === undefined || verdict === undefined) {
    return { told: { ...attachedOf(loan), owner: 'not plugged', problem: undefined }, isAway: true };
  }
  const owner = ownerOf(verdict);
  const holders = assignments.holders(unit.id);
  const settled = ownerText([...holders].sort()) === (typeof owner === 'string' ? '' : ownerText([...owner].sort()));
  const problems = controller.problems();
  const why = problems.join('; ') || 'it is on its way';
  const problem = settled ? undefined : `it is at ${ownerText(holders) || 'no seat'} now: ${why}`;
  return { told: { ...attachedOf(loan), owner: ownerText(owner), problem }, isAway: !settled && problems.length === 0 };
}
