import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { JournalEntry } from '../core/step.js';

/**
 * One small file for each device of a seat, root-only and outside every graft. It is what survives a crash: what was
 * about to be given, what was announced to which container, and the properties that a later removal needs.
 */
export class Journal {
  private readonly known = new Map<string, JournalEntry>();

  /** `directory`: of this seat alone; made when missing. Files that cannot be read are reported and left out. */
  constructor(
    private readonly directory: string,
    damaged: (file: string, error: Error) => void,
  ) {
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    for (const name of readdirSync(directory)) {
      const file = join(directory, name);
      if (!name.endsWith('.json')) {
        rmSync(file);
        continue;
      }
      try {
        const entry = JSON.parse(readFileSync(file, 'utf8')) as JournalEntry;
        this.known.set(entry.id, entry);
      } catch (error) {
        damaged(file, error as Error);
        rmSync(file);
      }
    }
  }

  get entries(): ReadonlyMap<string, JournalEntry> {
    return this.known;
  }

  /** Written whole or not at all (rename(2)). */
  put(entry: JournalEntry): void {
    const file = this.file(entry.id);
    writeFileSync(`${file}.new`, JSON.stringify(entry), { mode: 0o600 });
    renameSync(`${file}.new`, file);
    this.known.set(entry.id, entry);
  }

  delete(id: string): void {
    rmSync(this.file(id), { force: true });
    this.known.delete(id);
  }

  private file(id: string): string {
    // Ids are `c13:69` or `+input:input12`; sysfs writes a slash in a name as `!`, so none can be in here.
    if (id.includes('/')) throw new Error(`not a udev device id: ${JSON.stringify(id)}`);
    return join(this.directory, `${id}.json`);
  }
}
