import type { XorgFacts } from './facts.js';
import { about, type Finding } from './finding.js';

/** One section of an xorg.conf(5): its name, and its entries with their arguments, without quotes. */
interface Section {
  readonly name: string;
  readonly line: number;
  readonly entries: readonly (readonly string[])[];
}

/** Xorg compares names without case, spaces and underscores (xorg.conf(5), DESCRIPTION). */
const plain = (text: string): string => text.toLowerCase().replace(/[\s_]/g, '');

const words = (line: string): string[] =>
  [...line.matchAll(/"([^"]*)"|#.*$|([^\s"]+)/g)].flatMap(([all, quoted, bare]) =>
    all.startsWith('#') ? [] : [quoted ?? bare ?? ''],
  );

/** The sections of a configuration file. Other text is left out: Xorg itself complains of it. */
export function sectionsOf(text: string): Section[] {
  const sections: Section[] = [];
  let open: { name: string; line: number; entries: string[][] } | undefined;
  for (const [index, line] of text.split('\n').entries()) {
    const [key = '', ...rest] = words(line);
    if (plain(key) === 'section') open = { name: plain(rest[0] ?? ''), line: index + 1, entries: [] };
    else if (plain(key) === 'endsection') {
      if (open !== undefined) sections.push(open);
      open = undefined;
    } else if (key !== '') open?.entries.push([plain(key), ...rest]);
  }
  return sections;
}

/** The value of an option of a section, undefined when it is not set; one without a value is on. */
function option({ entries }: Section, name: string): string | undefined {
  const found = entries.find(([key, option]) => key === 'option' && plain(option ?? '') === name);
  return found === undefined ? undefined : (found[2] ?? 'on');
}

const off = (value: string | undefined): boolean =>
  value !== undefined && ['0', 'off', 'false', 'no'].includes(plain(value));

/** Settings with which an Xorg takes no device that is plugged later, and whether it has a driver for any. */
export function xorgFindings(seat: string, { files, drivers }: XorgFacts): Finding[] {
  const { warning, problem } = about(`seat ${seat}`);
  const findings = files.flatMap(({ path, text }) =>
    sectionsOf(text).flatMap((section): Finding[] => {
      const at = `${path}:${section.line}`;
      if (section.name === 'inputdevice') {
        const device = option(section, 'device');
        if (device === undefined) return [];
        return [
          warning(
            `${at} fixes an input device, ${device}: Xorg opens it once, and never again after a replug`,
            'remove the section: Xorg finds its devices by itself',
          ),
        ];
      }
      if (section.name !== 'serverflags' && section.name !== 'serverlayout') return [];
      return (['AutoAddDevices', 'AutoEnableDevices'] as const).flatMap((name) =>
        off(option(section, plain(name)))
          ? [problem(`${at} says ${name} off: Xorg takes no device that is plugged later`, 'remove that line')]
          : [],
      );
    }),
  );
  if (!drivers.some((name) => /^(libinput|evdev)_drv\.so$/.test(name))) {
    findings.push(
      problem('its Xorg has no driver for input devices', 'in the container: apt install xserver-xorg-input-libinput'),
    );
  }
  return findings;
}
