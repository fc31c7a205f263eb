// The parts of a report of a bug.

import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { release, tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { execa } from 'execa';
import { ask } from '../control/client.js';
import { engineFacts } from '../doctor/engine-facts.js';
import { type Fixture, formatFixture } from '../policy/fixture.js';
import { machineKey, maskFixture, textMasker } from '../policy/mask.js';
import { controlSocket } from '../seat/layout.js';

/** A file of the report: its path in the archive, its meaning, and its text with private strings masked. */
export interface Part {
  readonly path: string;
  readonly what: string;
  readonly text: string;
}

/** Longest that a program may take, ms: doctor itself waits 15 s for each thing that may hang. */
const limitMs = 90_000;
/** Limit of the text that is kept of a program, characters. */
const longest = 4 * 2 ** 20;

/** Everything that is known of this PC. Nothing that fails keeps the rest out: its part says why. `version`: Hotseat's. */
export async function collect(version: string): Promise<Part[]> {
  const key = machineKey();
  const { fixtures, failures } = await recordings();
  const masked = textMasker(fixtures, key);
  const verb = async (path: string, ...words: string[]): Promise<Part> => ({
    path,
    what: `hotseat ${words.join(' ')}`,
    text: masked(await said(process.execPath, fileURLToPath(new URL('main.js', import.meta.url)), ...words)),
  });
  const units = ['hotseat.service', 'hotseat-holder.service', 'hotseat-mute.service', 'hotseat-consoles.service'];
  const journal = [
    ...units.map((unit) => `--unit=${unit}`),
    '--since=-1h',
    '--no-pager',
    // With the unit and the time of each line, and without the name of the PC.
    '--output=short-iso',
    '--no-hostname',
    '--lines=20000',
  ];
  return [
    { path: 'versions.txt', what: 'versions of Hotseat, the system and the engines', text: await versions(version) },
    await verb('doctor.txt', 'doctor'),
    await verb('status.txt', 'status'),
    await verb('status.json', 'status', '--json'),
    await verb('devices.txt', 'devices'),
    await verb('log.txt', 'log', '--since', '1h'),
    {
      path: 'journal.txt',
      what: 'the log of the agent and of the other units of Hotseat, the last hour',
      text: masked(await said('journalctl', ...journal)),
    },
    ...fixtures.map(
      (fixture, index): Part => ({
        path: `devices/${String(index + 1).padStart(3, '0')}-${basename(fixture.devices[0]?.syspath ?? 'device')}.yaml`,
        what: 'a device, as hotseat record writes it',
        text: formatFixture(maskFixture(fixture, key)),
      }),
    ),
    ...(failures.length === 0
      ? []
      : [
          {
            path: 'devices/missing.txt',
            what: 'devices that are not here, and why',
            text: masked(failures.join('\n')),
          },
        ]),
  ];
}

/** All devices that the agent knows, unmasked: their private strings are looked for in the other parts. */
async function recordings(): Promise<{ readonly fixtures: readonly Fixture[]; readonly failures: readonly string[] }> {
  const fixtures: Fixture[] = [];
  const failures: string[] = [];
  const devices = await ask(controlSocket, { verb: 'devices' }, 10_000).catch((error: Error) => {
    failures.push(`no device: ${error.message}`);
    return [];
  });
  for (const { device } of devices) {
    try {
      fixtures.push(await ask(controlSocket, { verb: 'record', device, unmask: true }, 10_000));
    } catch (error) {
      failures.push(`${device}: ${(error as Error).message}`);
    }
  }
  return { fixtures, failures };
}

/** The text of a program on both streams, and its end when it failed. */
async function said(program: string, ...words: string[]): Promise<string> {
  const options = { reject: false, timeout: limitMs, stdin: 'ignore', all: true, maxBuffer: longest } as const;
  const result = await execa(program, words, options);
  const end = result.failed && result.exitCode !== 1 ? [`(${result.originalMessage ?? result.shortMessage})`] : [];
  return [result.all, ...end].join('\n');
}

async function versions(version: string): Promise<string> {
  const system = /^PRETTY_NAME="?([^"\n]*)/m.exec(readFileSync('/etc/os-release', 'utf8'))?.[1] ?? 'unknown';
  const engines = (await engineFacts()).map((one) => `${one.engine}: ${one.version}`);
  const systemd = (await said('systemctl', '--version')).split('\n')[0];
  return [
    `hotseat: ${version}`,
    `system: ${system}`,
    `kernel: ${release()}`,
    `node: ${process.version}`,
    systemd,
    ...engines,
  ].join('\n');
}

/** The contents of a report, a line for each file: for its reader, and for the admin who gives the report away. */
export const contents = (parts: readonly Part[]): string =>
  [
    'Serial numbers and addresses of devices are masked. Names of seats, containers, users and devices are not.',
    '',
    ...parts.map(({ path, what }) => `${path.padEnd(28)} ${what}`),
    '',
  ].join('\n');

/** The parts as a tar archive, gzipped, in a directory of that name. Throws when tar(1) fails. */
export async function pack(name: string, parts: readonly Part[]): Promise<Uint8Array> {
  const stage = mkdtempSync(join(tmpdir(), 'hotseat-report-'));
  try {
    for (const { path, text } of [{ path: 'CONTENTS.txt', text: contents(parts) }, ...parts]) {
      const file = join(stage, name, path);
      mkdirSync(dirname(file), { recursive: true });
      writeFileSync(file, text.endsWith('\n') || text === '' ? text : `${text}\n`);
    }
    const words = ['--create', '--gzip', '--file=-', '--owner=0', '--group=0', `--directory=${stage}`, name];
    const { stdout } = await execa('tar', words, { timeout: limitMs, stdin: 'ignore', encoding: 'buffer' });
    return stdout;
  } finally {
    rmSync(stage, { recursive: true, force: true });
  }
}
