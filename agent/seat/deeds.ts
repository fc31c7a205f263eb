import type { Deed } from '../core/audit.js';
import { type DeviceNumber, numberText } from '../core/device.js';
import type { Part } from '../core/plan.js';
import { nodePath } from '../core/state.js';
import { type JournalEntry, nodeOf } from '../core/step.js';

/**
 * The action of a part of a plan, for the audit trail; undefined when it gives and takes no node, but tidies up or
 * changes a description. `before`: the seat's entries of the unit before the part is done.
 */
export function deedOf({ what, unit, steps }: Part, before: Iterable<JournalEntry>): Deed | undefined {
  const intended = steps.flatMap((step) => (step.step === 'intend' ? [step.entry] : []));
  const given = steps.some(({ step }) => step === 'grant' || step === 'node' || step === 'serve');
  if (what === 'stray' || (what === 'come' && !given)) return undefined;
  const entries = new Map([...before].map((entry) => [entry.id, entry]));
  for (const entry of intended) entries.set(entry.id, entry);
  const facts = factsOf(unit, [...entries.values()]);
  // A head alone leaves after its nodes, by a message of its own.
  if (facts.nodes?.length === 0) return undefined;
  return { what: what === 'leave' ? 'unbind' : 'bind', ...facts };
}

/** The facts of a unit in its entries, also when it has been unplugged. */
export function factsOf(unit: string, entries: readonly JournalEntry[]): Omit<Deed, 'what'> {
  const rule = entries[0]?.rule ?? '';
  const [, file = rule, line] = /^(.*):(\d+)$/.exec(rule) ?? [];
  return {
    device: unit,
    name: nameFrom(unit, entries),
    nodes: entries.flatMap((entry) => {
      const node = nodeOf(entry);
      return node === undefined ? [] : [nodePath(node)];
    }),
    file,
    line: line === undefined ? undefined : Number(line),
  };
}

/** The kernel quotes an input's name (drivers/input/input.c, input_dev_uevent). */
function nameFrom(unit: string, entries: readonly JournalEntry[]): string {
  const say = (key: string): string | undefined => entries.map(({ properties }) => properties[key]).find(Boolean);
  return say('NAME')?.replace(/^"(.*)"$/, '$1') ?? say('ID_MODEL') ?? unit.slice(unit.lastIndexOf('/') + 1);
}

/** Numbers that steps gave or granted: what merely changed its description is no binding. */
export function numbersGiven(parts: readonly Part[]): DeviceNumber[] {
  const given = parts.flatMap(({ steps }) =>
    steps.flatMap((step) => {
      if (step.step === 'grant') return [step.number];
      if (step.step === 'serve') return [step.served.number];
      return step.step === 'node' ? [step.node.number] : [];
    }),
  );
  return [...new Map(given.map((number) => [numberText(number), number])).values()];
}
