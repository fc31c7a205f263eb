import { mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { Entries } from '../core/entries.js';
import type { JournalEntry } from '../core/step.js';
import { readOptional } from '../kernel/read.js';
import { removeFile, replaceFile } from '../kernel/replace-file.js';

/** Where the key of the container is; no id of a device. */
const containerFile = 'container';

/** A container that has been given something. */
export interface Tenant {
  /** `pid:starttime` of its init. */
  readonly key: string;
  readonly cgroup: string;
  /** Whose engine ran it; undefined: root's. */
  readonly user?: string | undefined;
}

/**
 * One small file for each device of a seat, root-only and outside every graft. It survives a crash: it has the
 * container of each device, devices that were about to be given, announcements with their container, and the properties
 * that a later removal needs.
 */
export class Journal {
  private readonly known = new Entries();
  private changed: (unit: string, has: boolean) => void = () => undefined;
  private last: Tenant | undefined;

  /** `directory`: of this seat alone; made when missing. Files that cannot be read are reported and left out. */
  constructor(
    private readonly directory: string,
    damaged: (file: string, error: Error) => void,
  ) {
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    this.last = parseTenant(readOptional(join(directory, containerFile)));
    for (const name of readdirSync(directory)) {
      const file = join(directory, name);
      if (name === containerFile) continue;
      if (!name.endsWith('.json')) {
        rmSync(file);
        continue;
      }
      try {
        const entry = JSON.parse(readFileSync(file, 'utf8')) as JournalEntry;
        this.known.put(entry);
      } catch (error) {
        damaged(file, error as Error);
        rmSync(file);
      }
    }
  }

  /** Key of the container that has been given these devices, or may have been. */
  get container(): string | undefined {
    return this.last?.key;
  }

  /** That container, which may have ended, with processes of it left in its group. */
  get tenant(): Tenant | undefined {
    return this.last;
  }

  /** On record before anything is given to a container, and until it has nothing any more. */
  setTenant(tenant: Tenant | undefined): void {
    const file = join(this.directory, containerFile);
    if (tenant === undefined) removeFile(file);
    else replaceFile(file, JSON.stringify(tenant));
    this.last = tenant;
  }

  get entries(): ReadonlyMap<string, JournalEntry> {
    return this.known.all;
  }

  /** The same, by unit and by name. */
  get index(): Entries {
    return this.known;
  }

  /** Says of each unit whether the seat has any device of it: of all that it has now, and whenever that changes. */
  follow(changed: (unit: string, has: boolean) => void): void {
    this.changed = changed;
    for (const { unit } of this.entries.values()) changed(unit, true);
  }

  put(entry: JournalEntry): void {
    replaceFile(this.file(entry.id), JSON.stringify(entry));
    const former = this.entries.get(entry.id);
    this.known.put(entry);
    this.changed(entry.unit, true);
    if (former !== undefined && former.unit !== entry.unit) this.noteEnd(former);
  }

  delete(id: string): void {
    removeFile(this.file(id));
    const former = this.entries.get(id);
    this.known.delete(id);
    if (former !== undefined) this.noteEnd(former);
  }

  private noteEnd({ unit }: JournalEntry): void {
    if (!this.known.has(unit)) this.changed(unit, false);
  }

  private file(id: string): string {
    // Ids are `c13:69` or `+input:input12`; sysfs writes a slash in a name as `!`, so none can be in here.
    if (id.includes('/')) throw new Error(`not a udev device id: ${JSON.stringify(id)}`);
    return join(this.directory, `${id}.json`);
  }
}

/** Undefined for a text that is no key. The group is needed only while processes are left in it. */
function parseTenant(text: string | undefined): Tenant | undefined {
  if (text === undefined) return undefined;
  // As version 1 wrote it.
  if (/^\d+:\d+$/.test(text)) return { key: text, cgroup: '' };
  try {
    const { key, cgroup, user } = JSON.parse(text) as Partial<Record<keyof Tenant, unknown>>;
    if (typeof key !== 'string' || typeof cgroup !== 'string') return undefined;
    return { key, cgroup, user: typeof user === 'string' ? user : undefined };
  } catch {
    return undefined;
  }
}
