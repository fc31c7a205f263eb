import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { groupsFile, type InstalledFile, installedFiles, local, packaged } from '../install/files.js';
import { apply, type Change, changesForInstall, changesForUninstall } from '../install/place.js';
import { completionOf } from './completion.js';
import { type Line, render, showsColours, soon } from './line.js';
import { manPage } from './man.js';
import { defaultPolicies } from './run.js';
import type { Call, ExitCode, Verb, Verbs } from './verb.js';

/** The program tree that this is part of, bundled or not. */
const program = withRules(import.meta.dirname);
const dryRun = { type: 'boolean', help: 'say what would be done, and do nothing' } as const;

/** The nearest directory from there upwards that has the files of an installation. */
function withRules(directory: string): string {
  if (existsSync(join(directory, 'rules/policies'))) return directory;
  const above = dirname(directory);
  if (above === directory)
    throw new Error(`${import.meta.dirname}: rules/policies is missing beside the program; install it again`);
  return withRules(above);
}

/** Waits for a program; rejects when it says no, except where `reject` is false. */
async function run(command: string, words: readonly string[], reject = true): Promise<void> {
  const { execa } = await import('execa');
  await execa(command, words, { timeout: 120_000, stdio: 'inherit', reject });
}

/** Compiles the program, by the Node that the service has. Without that a start takes longer, and nothing else. */
const compile = ['/usr/bin/node', join(program, 'dist/hotseat/keep-code.js')] as const;

/** The commands to run once the files are there: the group first, because the agent lets it read the audit trail. */
const commands = [
  ['systemd-sysusers', groupsFile(local(program))],
  ['systemctl', 'daemon-reload'],
  ['systemctl', 'enable', '--now', 'hotseat.service'],
] as const;

/** The commands to run before everything is given back. */
const ending = [
  ['systemctl', 'disable', '--now', 'hotseat.service'],
  ['systemctl', 'stop', 'hotseat-mute.service', 'hotseat-holder.socket', 'hotseat-holder.service'],
] as const;

function filesOf(verbs: Verbs): InstalledFile[] {
  if (program === packaged.program) throw new Error('this is the package: apt installs and removes it');
  return installedFiles(program, local(program), {
    page: manPage(verbs, new Date()),
    completion: (shell) => completionOf(shell, verbs) ?? '',
  });
}

function say(changes: readonly Change[], more: readonly string[]): void {
  const lines: Line[] = [
    ...changes.map(({ path, what }): Line => [what === 'write' || what === 'remove' ? soon(what) : what, ` ${path}`]),
    ...more,
  ];
  for (const line of lines) console.log(render(line, showsColours(process.stdout)));
}

const root = (): void => {
  if (process.getuid?.() !== 0) throw new Error('this needs root; --dry-run does not');
};

/** `hotseat install`: for a checkout. The package has the same files in other places. */
export const install = (verbs: () => Verbs): Verb => ({
  summary: 'install the service from this checkout, and a policy repository that is ready to use',
  usage: 'install [--dry-run] [--repository]',
  options: {
    'dry-run': dryRun,
    repository: { type: 'boolean', help: `only make the repository, ${defaultPolicies}, as the package does` },
  },
  examples: [
    { line: 'install --dry-run', help: 'which files would be written, and what would be run' },
    { line: 'install', help: 'the units, man page and completions; the service runs afterwards' },
  ],
  run: async ({ options }: Call): Promise<ExitCode> => {
    const only = options['repository'] === true;
    const files = only ? [] : filesOf(verbs());
    const changes = changesForInstall(files);
    const made = existsSync(defaultPolicies) ? [] : [`make ${defaultPolicies}, a git repository`];
    if (options['dry-run'] === true) {
      say(changes, [...made, ...(only ? [] : [compile, ...commands].map((words) => words.join(' ')))]);
      return 0;
    }
    root();
    const { makeRepository } = await import('../install/repository.js');
    await makeRepository(defaultPolicies, join(program, 'rules/policies'));
    if (only) return 0;
    apply(changes, files);
    say(changes, made);
    const [node, ...words] = compile;
    await run(node, words, false);
    for (const [command, ...words] of commands) await run(command, words);
    return 0;
  },
});

/** `hotseat uninstall`. */
export const uninstall = (verbs: () => Verbs): Verb => ({
  summary: 'give every device back and remove what install wrote; the policy stays',
  usage: 'uninstall [--dry-run]',
  options: { 'dry-run': dryRun },
  examples: [{ line: 'uninstall --dry-run', help: 'what would be removed, and what would stay' }],
  run: async ({ options }: Call): Promise<ExitCode> => {
    const files = filesOf(verbs());
    const changes = changesForUninstall(files);
    if (options['dry-run'] === true) {
      say(changes, [...ending.map((words) => words.join(' ')), 'hotseat release', `keep ${defaultPolicies}`]);
      return 0;
    }
    root();
    for (const [command, ...words] of ending) await run(command, words, false);
    const code = (await verbs()['release']?.run({ options: {}, words: [] })) ?? 0;
    apply(changes, files);
    say(changes, [`keep ${defaultPolicies}`]);
    await run('systemctl', ['daemon-reload']);
    return code;
  },
});
