import type { Namespaces } from '../kernel/namespaces.js';
import type { ProcessRef } from '../kernel/process-key.js';

/** Where distributions put libraries, as paths below a container's root. */
const places = ['usr/lib/x86_64-linux-gnu', 'usr/lib/aarch64-linux-gnu', 'usr/lib64', 'usr/lib'];
/** The library has some 70 KB. */
const largest = 1024 * 1024;

/** Texts that libseat has from 0.9 on, in its logind backend or in that for seatd. */
const newer = /Device paused \(%s\)|Could not read and queue events/;

/** Whether a library with these bytes waits for an answer to SWITCH_SESSION; before 0.9 an answer ends its session. */
export const isNewer = (library: string): boolean => newer.test(library);

/**
 * The same of a container's libseat. No message on the wire says which one a client has (seatd 2293dea). A container
 * without a libseat that is found, or a program with its own, counts as newer.
 */
export async function answersSwitch(namespaces: Pick<Namespaces, 'readFile'>, init: ProcessRef): Promise<boolean> {
  for (const place of places) {
    const library = await namespaces.readFile(init, `${place}/libseat.so.1`, largest).catch(() => undefined);
    if (library !== undefined) return isNewer(library);
  }
  return true;
}
