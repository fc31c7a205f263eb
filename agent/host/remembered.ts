import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';

/**
 * The former value of a setting of the host, kept in a file until it is given back. The first remembered value stays: a
 * restarted agent finds its own setting in place and must not take it for the host's.
 */
export class Remembered {
  constructor(private readonly file: string) {}

  read(): Record<string, number> {
    try {
      return JSON.parse(readFileSync(this.file, 'utf8')) as Record<string, number>;
    } catch {
      return {};
    }
  }

  /** Adds a value unless one is remembered under this name; on disk before it returns. */
  keep(name: string, value: number): void {
    const known = this.read();
    if (name in known) return;
    mkdirSync(dirname(this.file), { recursive: true, mode: 0o755 });
    writeFileSync(`${this.file}.new`, JSON.stringify({ ...known, [name]: value }), { mode: 0o600 });
    renameSync(`${this.file}.new`, this.file);
  }

  forget(): void {
    rmSync(this.file, { force: true });
  }
}
