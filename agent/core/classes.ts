import { type NodeClass, nodeClass, type Subsystem } from './device.js';
import type { Condition, Rule, SeatPolicy } from './policy.js';

const all: readonly Subsystem[] = ['input', 'sound', 'drm'];

/**
 * Which of `/dev/input`, `/dev/snd`, `/dev/dri` a seat's policy can put anything into: only these are grafted.
 * A rule that names a subsystem or a kind names its class; a USB port can bring input and sound;
 * anything else could be any class.
 */
export function classesOf(seat: SeatPolicy): ReadonlySet<NodeClass> {
  return new Set(seat.rules.flatMap((rule) => subsystemsOf(rule).map(nodeClass)));
}

/** The subsystems that a rule can want anything of. */
export function subsystemsOf(rule: Rule): readonly Subsystem[] {
  if (rule.byName) return ['sound'];
  return rule.conditions.reduce<readonly Subsystem[]>((left, condition) => {
    const allowed = narrowed(condition);
    return allowed === undefined ? left : left.filter((subsystem) => allowed.includes(subsystem));
  }, all);
}

function narrowed(condition: Condition): readonly Subsystem[] | undefined {
  if (condition.on === 'attribute' || condition.negate) return undefined;
  switch (condition.on) {
    case 'subsystem':
      return all.filter((subsystem) => condition.patterns.includes(subsystem));
    case 'kind':
      return all.filter((subsystem) =>
        condition.patterns.some((kind) =>
          kind === 'sound' ? subsystem === 'sound' : kind === 'display' ? subsystem === 'drm' : subsystem === 'input',
        ),
      );
    case 'port':
      return condition.patterns.every((pattern) => /-usb(v\d)?-/.test(pattern)) ? ['input', 'sound'] : undefined;
    case 'property':
    case 'sysname':
      return undefined;
  }
}
