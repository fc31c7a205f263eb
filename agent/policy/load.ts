import { closeSync, constants, fstatSync, openSync, readdirSync, readFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { glob } from '../core/glob.js';
import type { Diagnostic, Place, Policy, SeatPolicy } from '../core/policy.js';
import { type Loaded, largest, problem, seatFileName, type Text, textOf, tooLarge, tooMany } from './files.js';
import { parseHost, parseSeat } from './parse.js';
import { linesOf } from './udev-rules.js';

const hostName = 'host.yaml';

/** All rules of a policy may take so many lines of udev's, which udevd holds against each device. */
const mostLines = 20_000;

/** All seat files of a directory as one policy, or everything that is wrong with any of them. Links are not followed. */
export function loadDirectory(directory: string, host = hostname()): Loaded {
  const diagnostics: Diagnostic[] = [];
  const names = seatFiles(directory, diagnostics);
  const many = tooMany(names.length);
  // Of so many, none is read.
  if (many !== undefined) return { ok: false, diagnostics: [many] };
  const texts = names.flatMap((name): Text[] => {
    const text = readPlain(directory, name, diagnostics);
    return text === undefined ? [] : [{ name, text }];
  });
  const loaded = compose(texts, 'unversioned', host);
  if (diagnostics.length === 0) return loaded;
  return { ok: false, diagnostics: [...diagnostics, ...(loaded.ok ? [] : loaded.diagnostics)] };
}

/** Seat files as one policy for the named host, wherever they were read. Files for other hosts are checked, too. */
export function compose(texts: readonly Text[], revision: string, host: string): Loaded {
  const diagnostics: Diagnostic[] = [];
  const found: { seat: SeatPolicy; place: Place }[] = [];
  let console: Policy['console'] = 'mute';
  for (const { name, text } of texts) {
    if (name === hostName) {
      const hostFile = parseHost(name, text);
      if ('diagnostics' in hostFile) diagnostics.push(...hostFile.diagnostics);
      else console = hostFile.console ?? console;
      continue;
    }
    const parsed = parseSeat(name, text);
    if ('diagnostics' in parsed) diagnostics.push(...parsed.diagnostics);
    else if (parsed.hosts.some((pattern) => glob(pattern, host))) found.push(parsed);
  }
  diagnostics.push(...twice(found, 'seat', ({ seat }) => seat.seat));
  diagnostics.push(...twice(found, 'container', ({ seat }) => `${seat.container.engine} ${seat.container.name}`));
  let lines = 0;
  for (const { seat, place } of found) {
    lines += seat.rules.reduce((sum, rule) => sum + linesOf(rule), 0);
    if (lines <= mostLines) continue;
    const message = `with this file the policy has over ${mostLines} alternatives, each of which is a rule for udev`;
    diagnostics.push({ place, message, remedy: 'write fewer devices, or broader ones' });
    break;
  }
  if (diagnostics.length > 0) return { ok: false, diagnostics };
  return { ok: true, policy: { revision, seats: found.map(({ seat }) => seat), console }, texts };
}

/** Names of the files of a directory that can be seat files, or test files, sorted. */
export function seatFiles(directory: string, diagnostics: Diagnostic[]): string[] {
  let names: string[];
  try {
    names = readdirSync(directory).sort();
  } catch (error) {
    diagnostics.push(problem(directory, (error as Error).message, 'make the directory, or name another'));
    return [];
  }
  return names.filter((name) => {
    const fit = seatFileName(name);
    if (typeof fit === 'object') diagnostics.push(fit);
    return typeof fit === 'string';
  });
}

/** A file's text. Links are not followed. An entry that is no plain file is neither waited for nor read. */
export function readPlain(directory: string, name: string, diagnostics: Diagnostic[]): string | undefined {
  const refuse = (message: string, remedy: string): undefined => {
    diagnostics.push(problem(name, message, remedy));
  };
  let fd: number | undefined;
  try {
    fd = openSync(join(directory, name), constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    const stat = fstatSync(fd);
    if (!stat.isFile()) return refuse('is no plain file', 'put the file itself here');
    const text = stat.size > largest ? tooLarge(name, stat.size) : textOf(name, readFileSync(fd));
    if (typeof text === 'string') return text;
    diagnostics.push(text);
    return undefined;
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? '';
    if (code === 'ELOOP') return refuse('is a link', 'put the file itself here: links are not followed');
    return refuse(`cannot be read (${code})`, 'remove the cause that the system names');
  } finally {
    if (fd !== undefined) closeSync(fd);
  }
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
