import { statSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { refusals } from '../core/refusal.js';
import { flag } from './help.js';
import type { ExitCode, Verb, Verbs } from './verb.js';

/** Text as man(7) shows it: no backslash is an escape, and a hyphen stays a hyphen for searching and copying. */
const plain = (text: string): string => text.replaceAll('\\', '\\e').replaceAll('-', '\\-');

/** Text in lines of a page's source. A line that begins with a full stop or a quote would be a request. */
const prose = (text: string): string =>
  plain(text)
    .replace(/(?=\S)(.{1,76})(?:\s+|$)/g, '$1\n')
    .trimEnd()
    .replace(/^(?=[.'])/gm, '\\&');

/** The files of an installation, with a meaning for each. */
export const files: readonly (readonly [string, string])[] = [
  ['/etc/hotseat/policies', 'The seat files: a git repository, or a directory.'],
  ['/etc/default/hotseat', 'Options of the daemon.'],
  ['/run/hotseat/control.sock', 'The socket of the daemon. PERMISSIONS says who may ask for what.'],
  ['/run/hotseat/root/control.sock', 'The socket for root. Nobody else can connect there.'],
  ['/run/hotseat/loans.json', 'Devices that were given to seats by hand. A boot forgets them.'],
  ['/var/lib/hotseat/last-good.json', 'The last good policy.'],
  [
    '/var/lib/hotseat/floor',
    'With signed policies: the commit that was confirmed last. A commit that does not descend from it is refused.',
  ],
  [
    '/var/lib/hotseat/copies',
    'With signed policies: private copies of the commits that are being checked. Empty at other times.',
  ],
  ['/var/lib/hotseat/audit.jsonl, audit.1.jsonl', 'The audit trail. Neither file grows beyond 8 MiB.'],
  ['/run/udev/rules.d/72-zz-hotseat.rules', 'The policy as udev reads it. The daemon writes it.'],
  [
    '/etc/udev/rules.d/72-zzz-hotseat-boot.rules',
    'The policy that was confirmed last, for a boot until the daemon runs. The daemon writes it.',
  ],
  [
    '/etc/systemd/system/getty@.service.d/hotseat.conf',
    'Makes login prompts leave a muted console muted. It is there while the policy mutes the consoles, beside one for autovt@.',
  ],
];

/** The page hotseat(8), in man(7) macros. */
export function manPage(verbs: Verbs, date: Date): string {
  const section = (name: string, ...lines: string[]): string[] => [`.SH ${name}`, ...lines];
  return [
    `.TH HOTSEAT 8 ${date.toISOString().slice(0, 10)} Hotseat "System administration"`,
    ...section('NAME', 'hotseat \\- gives each device to the container of the right seat'),
    ...section('SYNOPSIS', '.B hotseat', '.I verb', '[\\fIoptions\\fR] [\\fIwords\\fR]'),
    ...section(
      'DESCRIPTION',
      prose(
        'One PC, several people: each seat is a screen, a keyboard, a mouse and an operating system of its own in a ' +
          'container. Hotseat is the agent on the host that gives a device to the right seat the moment it is plugged ' +
          'in, and to nobody else.',
      ),
      'Seat files say which device belongs to which seat.',
    ),
    ...section('VERBS', ...Object.entries(verbs).flatMap(([name, verb]) => verbLines(name, verb))),
    ...section(
      'PERMISSIONS',
      prose(
        'The verbs that change something (reload, confirm, attach, detach), plan and log are for root and for the ' +
          'members of the group hotseat-admin. Every user of the host may use the others. Where there is a group ' +
          'hotseat, only its members may.',
      ),
    ),
    ...section('EXIT STATUS', ...tagged([['0', 'Fine.']]), ...tagged([['1', 'The answer is no.']])),
    ...tagged([['2', 'Misuse or fault.']]),
    ...section(
      'CODES',
      prose('With --json, a refusal has one of these codes, beside its text:'),
      ...tagged(Object.entries(refusals).map(([code, { cause, remedy }]) => [code, `${cause} Remedy: ${remedy}.`])),
    ),
    ...section(
      'ENVIRONMENT',
      ...tagged([['NO_COLOR', 'No colours, on any terminal.']]),
      ...tagged([['LXC_NAME', 'The container, when LXC runs a hook.']]),
    ),
    ...section('FILES', ...tagged(files)),
    ...section(
      'NOTES',
      prose('A way back in: once the service has been stopped, the text consoles have their keyboards back.'),
      '.PP',
      prose('Where no daemon has run since the boot, hotseat consoles restore gives them back.'),
      '.PP',
      prose(
        "With hotseat.disable on the kernel's command line nothing of Hotseat starts, and every device is the host's.",
      ),
    ),
    ...section('SEE ALSO', '.BR loginctl (1),', '.BR udevadm (8),', '.BR lxc.container.conf (5)'),
    '',
  ].join('\n');
}

function verbLines(name: string, { usage, summary, options, examples }: Verb): string[] {
  const sentence = `${summary.charAt(0).toUpperCase()}${summary.slice(1)}.`;
  return [
    `.SS ${name}`,
    `.B hotseat ${plain(usage)}`,
    '.PP',
    prose(sentence),
    ...tagged(Object.entries(options).map(([key, option]) => [flag(key, option), option.help])),
    ...(examples.length > 0 ? ['.PP', examples.length > 1 ? 'Examples:' : 'Example:'] : []),
    ...examples.flatMap((example) => ['.TP', `.B hotseat ${plain(example.line)}`, prose(example.help)]),
  ];
}

const tagged = (items: readonly (readonly [string, string])[]): string[] =>
  items.flatMap(([tag, text]) => ['.TP', `.B ${plain(tag)}`, prose(text)]);

/** `hotseat man`; its date is that of the build. */
export const man = (verbs: () => Verbs): Verb => ({
  summary: 'print the manual page, as man reads it',
  usage: 'man',
  options: {},
  examples: [{ line: 'man | man -l -', help: 'reads it' }],
  run: async (): Promise<ExitCode> => {
    process.stdout.write(manPage(verbs(), statSync(fileURLToPath(import.meta.url)).mtime));
    return 0;
  },
});
