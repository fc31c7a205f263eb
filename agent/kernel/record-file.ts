import { readOptional } from './read.js';
import { replaceFile } from './replace-file.js';

/**
 * A small table below /run that only root reads, for an agent that starts again. A spoilt file counts as an empty table.
 */
export class RecordFile<T> {
  private text: string | undefined;

  /** `valid`: whether a value that was read is one of ours. */
  constructor(
    private readonly path: string,
    private readonly valid: (value: unknown) => value is T,
  ) {}

  read(): Map<string, T> {
    this.text = readOptional(this.path);
    try {
      const table: unknown = JSON.parse(this.text ?? '{}');
      if (typeof table !== 'object' || table === null) return new Map();
      return new Map(
        Object.entries(table).flatMap(([key, value]) => (this.valid(value) ? [[key, value] as const] : [])),
      );
    } catch {
      return new Map();
    }
  }

  /** Writes the table, unless it is the same as the last one. */
  write(table: ReadonlyMap<string, T>): void {
    const text = JSON.stringify(Object.fromEntries(table));
    if (text === this.text) return;
    replaceFile(this.path, text);
    this.text = text;
  }
}
