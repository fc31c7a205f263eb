import { basename, join } from 'node:path';
import { accessTags, powerTag } from '../core/last-word.js';
import { namesIn, readUpTo } from '../kernel/read.js';
import { rulesFile } from './udev-rules.js';

/** Where udevd reads rules from; a file hides those of its name in the directories behind it (udev(7)). */
const directories = ['/etc/udev/rules.d', '/run/udev/rules.d', '/usr/local/lib/udev/rules.d', '/usr/lib/udev/rules.d'];

/** systemd's own, which gives a seat only to devices without one. */
const notToBlame = '73-seat-late.rules';

/** Larger ones are data, not somebody's own rules, bytes. */
const largest = 1024 * 1024;

/**
 * The rules that set a device's seat to this, or give it this tag, as `/etc/udev/rules.d/85-mine.rules:3`. For a seat, and for a tag
 * that Hotseat's rules take away, only files that come after them. Where none has the text itself, those that put it together
 * (`$env{…}`, `IMPORT`). `roots`: the
 * directories, for tests.
 */
export function rulesThat(what: 'seat' | 'tag', value: string, roots: readonly string[] = directories): string[] {
  const seen = new Set<string>([basename(rulesFile), notToBlame]);
  const isOurs = what === 'seat' || [...accessTags, powerTag].some((tag) => tag === value);
  const found = roots.flatMap((directory) =>
    namesIn(directory)
      .filter((name) => name.endsWith('.rules') && !seen.has(name))
      .sort()
      .flatMap((name) => {
        seen.add(name);
        if (isOurs && name < basename(rulesFile)) return [];
        return placesIn(join(directory, name), what, value);
      }),
  );
  const exact = found.filter(({ isExact }) => isExact);
  return (exact.length > 0 ? exact : found).map(({ place }) => place);
}

interface Found {
  readonly place: string;
  readonly isExact: boolean;
}

function placesIn(file: string, what: 'seat' | 'tag', value: string): Found[] {
  const lines = textOf(file).split('\n');
  return lines.flatMap((line, index): Found[] => {
    if (line.trimStart().startsWith('#')) return [];
    const set = what === 'seat' ? /ENV\{ID_SEAT\}\s*:?=\s*e?"([^"]*)"/g : /TAG\s*[+:]?=\s*e?"([^"]*)"/g;
    const values = [...line.matchAll(set)].map(([, text = '']) => text);
    const place = `${file}:${index + 1}`;
    if (values.includes(value)) return [{ place, isExact: true }];
    const isElsewhere = what === 'seat' && /IMPORT\{(program|file)\}\s*=/.test(line) && !file.startsWith('/usr/lib/');
    return isElsewhere || values.some((text) => /[$%]/.test(text)) ? [{ place, isExact: false }] : [];
  });
}

function textOf(file: string): string {
  try {
    return readUpTo(file, largest) ?? '';
  } catch {
    return '';
  }
}
