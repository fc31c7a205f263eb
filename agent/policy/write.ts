import {
  closeSync,
  fchmodSync,
  fchownSync,
  fsyncSync,
  openSync,
  renameSync,
  rmSync,
  type Stats,
  writeSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';

/** A new file's mode, before the umask. */
const plainMode = 0o644;

/** Writes a file that is not there yet. A present file stays as it is. */
export function writeNew(path: string, text: string): void {
  try {
    writeOut(path, text);
  } catch (error) {
    const exists = (error as NodeJS.ErrnoException).code === 'EEXIST';
    throw exists ? new Error(`${path} exists already: name another file, or remove it`) : error;
  }
}

/**
 * Puts a text in the place of a file, whose owner and mode stay: under another name first, so that a reader finds the
 * former text or the new one, never half of it.
 */
export function replaceWhole(path: string, text: string, former: Stats): void {
  const temporary = join(dirname(path), `.${basename(path)}.${process.pid}.new`);
  writeOut(temporary, text, former);
  try {
    renameSync(temporary, path);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw error;
  }
}

/** Nothing is left of what could not be written to its end. */
function writeOut(path: string, text: string, former?: Stats): void {
  const fd = openSync(path, 'wx', plainMode);
  try {
    if (former !== undefined) {
      if (process.getuid?.() === 0) fchownSync(fd, former.uid, former.gid);
      fchmodSync(fd, former.mode & 0o777);
    }
    const bytes = Buffer.from(text, 'utf8');
    for (let at = 0; at < bytes.length; ) at += writeSync(fd, bytes, at);
    fsyncSync(fd);
  } catch (error) {
    rmSync(path, { force: true });
    throw error;
  } finally {
    closeSync(fd);
  }
}
