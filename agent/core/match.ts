import { type Device, holdersOf, isJoint, type Unit } from './device.js';
import { glob } from './glob.js';
import { type Fact, kindTests, streamLetters } from './kind.js';
import { lateSeat } from './last-word.js';
import type { AttributeCondition, HeadCondition, Kind, Rule } from './policy.js';
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
export const matches = (rule: Rule, head: Device, nodes: Nodes = []): boolean => matchOf(rule, head, nodes) === 'yes';

/**
 * The same, where it may depend on attributes that could not be read yet: it answers with the paths of the devices that have
 * them then.
 */
export function matchOf(rule: Rule, head: Device, nodes: Nodes = []): Match {
  const holdsThere =
    rule.byName === isJoint(head) &&
    rule.conditions.every(
      (condition) => condition.on === 'attribute' || holds(condition, head, nodes) !== condition.negate,
    );
  return holdsThere ? attributeMatch(attributesIn(rule), head) : 'no';
}

/** The answer, or what it depends on. */
export type Match = 'yes' | 'no' | readonly string[];

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

const attributesIn = ({ conditions }: Rule): AttributeCondition[] =>
  conditions.filter((condition) => condition.on === 'attribute');

/** udev wants all ATTRS of one rule on one and the same device, the head or an ancestor (udev(7)). */
function attributeMatch(wanted: readonly AttributeCondition[], head: Device): Match {
  if (wanted.length === 0) return 'yes';
  const doubtful: string[] = [];
  for (const { syspath, attributes, unread = [] } of holdersOf(head)) {
    const isUnread = ({ key }: AttributeCondition): boolean => unread.includes(key);
    const isThere = ({ key, patterns }: AttributeCondition): boolean => {
      const value = Object.hasOwn(attributes, key) ? attributes[key] : undefined;
      return value !== undefined && anyGlob(patterns, value);
    };
    if (!wanted.every((one) => isUnread(one) || isThere(one))) continue;
    if (!wanted.some(isUnread)) return 'yes';
    doubtful.push(syspath);
  }
  return doubtful.length === 0 ? 'no' : doubtful;
}

function attributeMismatch(rule: Rule, head: Device): string | undefined {
  const wanted = attributesIn(rule);
  const match = attributeMatch(wanted, head);
  if (match === 'yes') return undefined;
  const words = wanted.map(({ key, patterns }) => `${key} ${patterns.join(' or ')}`).join(' and ');
  return match === 'no'
    ? `no ancestor has ${words}`
    : `it could not be read yet whether ${match.join(' or ')} has ${words}`;
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
