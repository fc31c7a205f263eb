import type { Decider } from './decide.js';
import type { Unit } from './device.js';
import { nameOf } from './name.js';
import type { Receipt, Rule } from './policy.js';
import type { Verdict } from './verdict.js';

/** How a seat gets a unit by a rule; undefined where nothing else than nodes is possible. */
export const receiptOf = ({ subsystem }: Pick<Unit, 'subsystem'>, { receive = 'node' }: Rule): Receipt | undefined =>
  subsystem === 'input' || subsystem === 'hidraw' ? receive : undefined;

export function receiptText(receipt: Receipt): string {
  switch (receipt) {
    case 'node':
      return 'as a node';
    case 'descriptor':
      return 'as a descriptor';
    case 'both':
      return 'as a node and a descriptor';
  }
}

/** Units that stay with their seat, and that it would get in another way by another policy, in words. */
export function receiptChanges(
  units: readonly Unit[],
  before: ReadonlyMap<string, Verdict>,
  decide: Decider,
): string[] {
  return units.flatMap((unit) => {
    const was = before.get(unit.id);
    if (unit.subsystem !== 'input' || was?.kind !== 'seat') return [];
    const is = decide(unit);
    return was.claims.flatMap(({ seat, rule }) => {
      const now = is.kind === 'seat' ? is.claims.find((claim) => claim.seat === seat) : undefined;
      const [from, to] = [receiptOf(unit, rule), now && receiptOf(unit, now.rule)];
      if (from === undefined || to === undefined || from === to) return [];
      return [`${seat} gets ${nameOf(unit)} (${unit.id}) ${receiptText(to)}, no longer ${receiptText(from)}`];
    });
  });
}

/** Since when hidraw has HIDIOCREVOKE (drivers/hid/hidraw.c). */
const since = [6, 12] as const;

/** Why raw nodes cannot come as descriptors alone on a kernel of this release (`6.1.0-13-amd64`); undefined when they can. */
export function rawRefusal(release: string): string | undefined {
  const [, major, minor] = /^(\d+)\.(\d+)/.exec(release) ?? [];
  if (major === undefined || minor === undefined) return undefined;
  const isOld = Number(major) < since[0] || (Number(major) === since[0] && Number(minor) < since[1]);
  return isOld
    ? `a raw node can be taken back as a descriptor from Linux ${since.join('.')} on, and this is ${release}`
    : undefined;
}
