import { type Device, isJoint, type Unit } from './device.js';
import { glob } from './glob.js';
import { type Fact, kindTests, streamLetters } from './kind.js';
import { lateSeat } from './last-word.js';
import type { HeadCondition, Kind, Rule } from './policy.js';
import { namesBus, pathWithBus, portCovers } from './port.js';

/** The nodes of a unit: a sound card is told by them. */
type Nodes = Unit['nodes'];

/**
 * Holds a rule against the head of a unit: undefined when every condition holds, otherwise the first that does not, in
 * words. Reads what udevd's own rules read, so that the compiled rules come to the same verdict.
 */
export function mismatch(rule: Rule, head: Device, nodes: Nodes = []): string | undefined {
  if (rule.byName !== isJoint(head))
    return rule.byName ? 'names a node that joins seats' : 'joins seats: `extra` alone gives it';
  for (const condition of rule.conditions) {
    if (condition.on !== 'attribute' && holds(condition, head, nodes) === condition.negate)
      return describe(condition, head);
  }
  return attributeMismatch(rule, head);
}

/** Whether a rule wants the unit with this head; `mismatch` says the same in words, at the price of making them. */
export const matches = (rule: Rule, head: Device, nodes: Nodes = []): boolean =>
  rule.byName === isJoint(head) &&
  rule.conditions.every(
    (condition) => condition.on === 'attribute' || holds(condition, head, nodes) !== condition.negate,
  ) &&
  attributeMismatch(rule, head) === undefined;

/**
 * Whether a rule that takes another part of the same physical device takes this one as well: it has the place and the
 * subsystem of the rule, and the rule does not exclude it. All other conditions concern the other part.
 */
export const goesAlong = ({ whole, conditions }: Rule, head: Device, nodes: Nodes): boolean =>
  whole &&
  !isJoint(head) &&
  conditions.every(
    (condition) =>
      condition.on === 'attribute' ||
      !(condition.on === 'port' || condition.on === 'subsystem' || condition.negate) ||
      holds(condition, head, nodes) !== condition.negate,
  );

/** udev wants all ATTRS of one rule on one and the same device, the head or an ancestor (udev(7)). */
function attributeMismatch(rule: Rule, head: Device): string | undefined {
  const wanted = rule.conditions.filter((condition) => condition.on === 'attribute');
  if (wanted.length === 0) return undefined;
  const holders = [head.attributes, ...head.ancestors.map(({ attributes }) => attributes)];
  const found = holders.some((attributes) =>
    wanted.every(({ key, patterns }) => {
      const value = Object.hasOwn(attributes, key) ? attributes[key] : undefined;
      return value !== undefined && anyGlob(patterns, value);
    }),
  );
  return found
    ? undefined
    : `no ancestor has ${wanted.map(({ key, patterns }) => `${key} ${patterns.join(' or ')}`).join(' and ')}`;
}

export function holds(condition: HeadCondition, head: Device, nodes: Nodes = []): boolean {
  switch (condition.on) {
    case 'subsystem':
      return anyGlob(condition.patterns, head.subsystem);
    case 'sysname':
      return anyGlob(condition.patterns, head.sysname);
    case 'property':
      return anyGlob(condition.patterns, property(head, condition.key));
    case 'port':
      return condition.patterns.some((port) =>
        portCovers(port, property(head, 'ID_PATH'), property(head, pathWithBus)),
      );
    case 'kind':
      return condition.patterns.some((kind) => isKind(kind, head, nodes));
  }
}

/** Whether a head is a thing of this kind. */
export const isKind = (kind: Kind, head: Device, nodes: Nodes = []): boolean =>
  kindTests[kind].every((fact) => isFact(fact, head, nodes));

function isFact(fact: Fact, head: Device, nodes: Nodes): boolean {
  switch (fact.on) {
    case 'property':
      return (property(head, fact.property) === '1') !== (fact.negate ?? false);
    case 'subsystem':
      return head.subsystem === fact.subsystem;
    case 'path':
      return glob(fact.pattern, head.syspath.slice('/sys'.length));
    case 'stream': {
      const ends = streamLetters[fact.stream];
      return nodes.some(({ sysname }) => sysname.startsWith('pcmC') && sysname.endsWith(ends));
    }
  }
}

const anyGlob = (patterns: readonly string[], text: string): boolean => patterns.some((pattern) => glob(pattern, text));

/**
 * ID_SEAT in a policy means the seat that the admin named, never the seat that our own rules made of it (promise 10).
 */
export const propertyKey = (key: string): string => (key === 'ID_SEAT' ? 'HOTSEAT_ADMIN_SEAT' : key);

/** A property that is not set is empty, as for udev. */
export const property = (head: Device, key: string): string => head.properties[propertyKey(key)] ?? '';

function describe(condition: HeadCondition, head: Device): string {
  const wanted = `${condition.negate ? 'not ' : ''}${condition.patterns.join(' or ')}`;
  const key = condition.on === 'property' ? condition.key : condition.on;
  const shown =
    condition.on === 'property'
      ? property(head, condition.key)
      : condition.on === 'port'
        ? (condition.patterns.some(namesBus) && property(head, pathWithBus)) || property(head, 'ID_PATH')
        : '';
  const late = key === 'ID_SEAT' ? lateSeat(head) : undefined;
  if (late !== undefined) {
    return `ID_SEAT is ${JSON.stringify(late)} only by a udev rule that comes after Hotseat's (72-zz-hotseat.rules), wanted ${wanted}`;
  }
  return `${key} is ${shown === '' ? 'another' : JSON.stringify(shown)}, wanted ${wanted}`;
}
