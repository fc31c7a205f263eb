import { lstatSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Diagnostic, Place, Policy, SeatPolicy } from '../core/policy.js';
import { parseHost, parseSeat } from './parse.js';

export type Loaded =
  | { readonly ok: true; readonly policy: Policy }
  | { readonly ok: false; readonly diagnostics: readonly Diagnostic[] };

const hostName = 'host.yaml';

/** All seat files of a directory as one policy, or everything that is wrong with any of them. Links are not followed. */
export function loadDirectory(directory: string): Loaded {
  const diagnostics: Diagnostic[] = [];
  const found: { seat: SeatPolicy; place: Place }[] = [];
  let console: Policy['console'] = 'mute';
  for (const name of seatFiles(directory, diagnostics)) {
    const text = readFileSync(join(directory, name), 'utf8');
    if (name === hostName) {
      const host = parseHost(name, text);
      if ('diagnostics' in host) diagnostics.push(...host.diagnostics);
      else console = host.console ?? console;
      continue;
    }
    const parsed = parseSeat(name, text);
    if ('diagnostics' in parsed) diagnostics.push(...parsed.diagnostics);
    else found.push(parsed);
  }
  diagnostics.push(...twice(found, 'seat', ({ seat }) => seat.seat));
  diagnostics.push(...twice(found, 'container', ({ seat }) => `${seat.container.engine} ${seat.container.name}`));
  if (diagnostics.length > 0) return { ok: false, diagnostics };
  return { ok: true, policy: { revision: 'unversioned', seats: found.map(({ seat }) => seat), console } };
}

function seatFiles(directory: string, diagnostics: Diagnostic[]): string[] {
  let names: string[];
  try {
    names = readdirSync(directory).sort();
  } catch (error) {
    const place = { file: directory, line: 1, column: 1 };
    diagnostics.push({ place, message: (error as Error).message, remedy: 'make the directory, or name another' });
    return [];
  }
  return names.filter((name) => {
    if (!name.endsWith('.yaml') || name.startsWith('.')) return false;
    if (lstatSync(join(directory, name)).isFile()) return true;
    const place = { file: name, line: 1, column: 1 };
    diagnostics.push({
      place,
      message: 'is no plain file',
      remedy: 'put the file itself here: links are not followed',
    });
    return false;
  });
}

function twice(
  found: readonly { readonly seat: SeatPolicy; readonly place: Place }[],
  what: string,
  key: (one: { readonly seat: SeatPolicy }) => string,
): Diagnostic[] {
  const first = new Map<string, string>();
  return found.flatMap((one) => {
    const before = first.get(key(one));
    first.set(key(one), before ?? one.seat.file);
    if (before === undefined) return [];
    return [
      { place: one.place, message: `${what} ${key(one)} is in ${before} already`, remedy: `name another ${what}` },
    ];
  });
}
