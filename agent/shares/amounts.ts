import type { Amounts } from '../core/shares.js';

/** The files of a group with its shares (cgroup-v2.rst). */
export const amountFiles = ['cpu.weight', 'memory.high', 'io.weight', 'pids.max'] as const;

/** The contents of those files. A weight for the disks may be followed by others for single disks. */
export function amountsOf(texts: ReadonlyMap<string, string>): Amounts {
  const plain = (name: string): string | undefined => texts.get(name)?.trim();
  const found = {
    cpu: plain('cpu.weight'),
    memory: plain('memory.high'),
    io: /^(?:default )?(\d+)$/m.exec(texts.get('io.weight') ?? '')?.[1],
    pids: plain('pids.max'),
  };
  return Object.fromEntries(Object.entries(found).filter(([, text]) => text !== undefined));
}

/** Weights as BFQ takes them, 1 to 1000, so that even stays even (BFQ_WEIGHT in systemd's cgroup-util.h). */
const bfqWeight = (weight: number): number =>
  weight <= 100 ? weight : 100 + Math.floor(((weight - 100) * (1000 - 100)) / (10_000 - 100));

/** The text for each file. A value that was not there before goes back to the kernel's default. */
export function writesOf({ cpu, memory, io, pids }: Amounts): (readonly [string, string])[] {
  const weight = (text: string): string => (text === '' ? '100' : text);
  const bound = (text: string): string => (text === '' ? 'max' : text);
  return [
    ...(cpu === undefined ? [] : [['cpu.weight', weight(cpu)] as const]),
    ...(io === undefined
      ? []
      : [
          ['io.weight', `default ${weight(io)}`] as const,
          ['io.bfq.weight', String(bfqWeight(Number(weight(io))))] as const,
        ]),
    // First: a seat that may have fewer processes makes no more of them while memory is taken back.
    ...(pids === undefined ? [] : [['pids.max', bound(pids)] as const]),
    ...(memory === undefined ? [] : [['memory.high', bound(memory)] as const]),
  ];
}

/** The same as properties of a unit (systemd.resource-control(5)); an empty value is the manager's own default. */
export function propertiesOf({ cpu, memory, io, pids }: Amounts): string[] {
  const bound = (text: string): string => (text === 'max' || text === '' ? 'infinity' : text);
  return [
    ...(cpu === undefined ? [] : [`CPUWeight=${cpu}`]),
    ...(io === undefined ? [] : [`IOWeight=${io}`]),
    ...(pids === undefined ? [] : [`TasksMax=${bound(pids)}`]),
    ...(memory === undefined ? [] : [`MemoryHigh=${bound(memory)}`]),
  ];
}
