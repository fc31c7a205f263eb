import { homedir } from 'node:os';
import { join, resolve } from 'node:path';

/** This checkout; the compiled file is dist/test/lab/driver/paths.js. */
export const checkout = resolve(import.meta.dirname, '../../../..');
/** Files for the guest, used from the sources: they need no compiler. */
export const guestFiles = join(checkout, 'test/lab/guest');
export const out = join(checkout, 'test/lab/out');
export const cache = join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'hotseat/lab');
