import { closeSync, fstatSync, openSync, readFileSync, readSync, statSync } from 'node:fs';
import { StringDecoder } from 'node:string_decoder';
import { formerTrail } from './trail.js';

/** Read at once, bytes. */
const portion = 1024 * 1024;

/** Reads a trail as it grows, from the file that was put aside on. Needs no agent, only the permission to read. */
export class TrailFile {
  private fd: number | undefined;
  private started = false;
  private readonly decoder = new StringDecoder('utf8');

  constructor(private readonly file: string) {}

  /** Everything that has been written since the last call; all of it at the first. */
  read(): string {
    const before = this.started ? '' : this.former();
    this.started = true;
    let text = before + this.rest();
    if (this.replaced()) {
      // Once more: the lines that were written to it before it was put aside.
      text += this.rest();
      this.close();
      text += this.rest();
    }
    return text;
  }

  close(): void {
    if (this.fd !== undefined) closeSync(this.fd);
    this.fd = undefined;
  }

  private former(): string {
    // Opened before: a file that is put aside meanwhile is read there, and not twice.
    this.fd = optional(() => openSync(this.file, 'r'));
    const former = optional(() => openSync(formerTrail(this.file), 'r'));
    if (former === undefined) return '';
    try {
      return this.fd !== undefined && sameFile(former, this.fd) ? '' : this.decoder.write(readFileSync(former));
    } finally {
      closeSync(former);
    }
  }

  private rest(): string {
    this.fd ??= optional(() => openSync(this.file, 'r'));
    if (this.fd === undefined) return '';
    const parts: string[] = [];
    const buffer = Buffer.alloc(portion);
    for (let count = -1; count !== 0; ) {
      count = readSync(this.fd, buffer, 0, portion, null);
      parts.push(this.decoder.write(buffer.subarray(0, count)));
    }
    return parts.join('');
  }

  private replaced(): boolean {
    const now = optional(() => statSync(this.file).ino);
    return now !== undefined && this.fd !== undefined && now !== fstatSync(this.fd).ino;
  }
}

const sameFile = (a: number, b: number): boolean => fstatSync(a).ino === fstatSync(b).ino;

/** Undefined for a file that is not there. */
function optional<T>(get: () => T): T | undefined {
  try {
    return get();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}
