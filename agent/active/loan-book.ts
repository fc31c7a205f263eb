import { mkdirSync, readFileSync } from 'node:fs';
import { dirname } from 'node:path';
import * as z from 'zod';
import type { Loan, Thing } from '../core/policy.js';
import { replaceFile } from '../kernel/replace-file.js';

/** Outlives an agent and no boot: a loan for a moment must not be forgotten at a seat. */
export const loanFile = '/run/hotseat/loans.json';

const text = z.string().max(4096);
const optional = text.optional();
const thing = z.object({
  subsystem: z.enum(['input', 'sound', 'drm']),
  ...{ path: text, withBus: optional, serial: text, sysname: optional, name: optional, uniq: optional, phys: optional },
});
const stored = z.array(
  z.object({
    seat: text,
    thing,
    parts: z.array(thing).optional(),
    name: text,
    until: z.number().optional(),
    by: z.number(),
  }),
);

/** Devices that were given to seats by hand, the newest first, in a file that only root reads. */
export class LoanBook {
  private known: readonly Loan[];

  /** `damaged` is told when the file is there and cannot be understood: nothing is lent then. */
  constructor(
    private readonly file: string,
    damaged: (error: Error) => void,
  ) {
    this.known = [];
    try {
      this.known = stored.parse(JSON.parse(readFileSync(file, 'utf8'))).map(whole);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') damaged(error as Error);
    }
  }

  get loans(): readonly Loan[] {
    return this.known;
  }

  /** Written whole or not at all, before it counts. */
  write(loans: readonly Loan[]): void {
    mkdirSync(dirname(this.file), { recursive: true, mode: 0o755 });
    replaceFile(this.file, JSON.stringify(loans));
    this.known = loans;
  }
}

/** JSON leaves out undefined fields. */
const whole = ({ seat, thing, parts, name, until, by }: z.infer<typeof stored>[number]): Loan => ({
  ...{ seat, name, until, by },
  thing: wholeThing(thing),
  ...(parts === undefined ? {} : { parts: parts.map(wholeThing) }),
});

const wholeThing = ({ withBus, sysname, name, uniq, phys, ...known }: z.infer<typeof thing>): Thing => ({
  ...known,
  ...{ withBus, sysname, name, uniq, phys },
});
