import { type NodeClass, nodeClass, type Subsystem } from './device.js';
import type { Condition, Kind, Rule, SeatPolicy } from './policy.js';

const all: readonly Subsystem[] = ['input', 'sound', 'drm'];

/**
 * Which of `/dev/input`, `/dev/snd`, `/dev/dri` are expected to be used by a seat, by its rules. A rule that names a
 * subsystem or a kind names its class; a USB port mostly brings input and sound; anything else could be any class.
 */
export function classesOf(seat: SeatPolicy): ReadonlySet<NodeClass> {
  return new Set(seat.rules.flatMap((rule) => expectedOf(rule).map(nodeClass)));
}

/** A graphics adapter at a USB port is rare, and a graft for nothing would cover the container's own files there. */
function expectedOf(rule: Rule): readonly Subsystem[] {
  const wanted = subsystemsOf(rule);
  return wanted.length > 1 && rule.conditions.some(isAtUsb) ? wanted.filter((one) => one !== 'drm') : wanted;
}

const isAtUsb = (condition: Condition): boolean =>
  condition.on === 'port' && !condition.negate && condition.patterns.every((pattern) => /-usb(v\d)?-/.test(pattern));

/** The subsystems that a rule can want anything of. */
export function subsystemsOf(rule: Pick<Rule, 'byName' | 'conditions'>): readonly Subsystem[] {
  if (rule.byName) return ['sound'];
  return rule.conditions.reduce<readonly Subsystem[]>((left, condition) => {
    const allowed = narrowed(condition);
    return allowed === undefined ? left : left.filter((subsystem) => allowed.includes(subsystem));
  }, all);
}

function kindSubsystem(kind: Kind): Subsystem {
  switch (kind) {
    case 'sound':
    case 'microphone':
    case 'speaker':
      return 'sound';
    case 'display':
      return 'drm';
    default:
      return 'input';
  }
}

function narrowed(condition: Condition): readonly Subsystem[] | undefined {
  if (condition.on === 'attribute' || condition.negate) return undefined;
  switch (condition.on) {
    case 'subsystem':
      return all.filter((subsystem) => condition.patterns.includes(subsystem));
    case 'kind':
      return all.filter((subsystem) => condition.patterns.some((kind) => kindSubsystem(kind) === subsystem));
    case 'port':
    case 'property':
    case 'sysname':
      return undefined;
  }
}
