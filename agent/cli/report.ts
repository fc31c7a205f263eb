import { existsSync, writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import type { Call, ExitCode, Verb } from './verb.js';
import { version } from './version.js';

/** `hotseat report`: needs no running agent; what only an agent knows is missing then, and the report says so. */
export const report: Verb = {
  summary:
    'write one archive for a report of a bug: doctor, status, devices, versions, the last hour; private strings are masked',
  usage: 'report [--out FILE]',
  options: { out: { type: 'string', help: 'write it to this file, which must not exist yet' } },
  examples: [
    { line: 'report', help: 'as root: hotseat-report-TIME.tar.gz, here; prints what is in it' },
    { line: 'report --out /tmp/hotseat.tar.gz', help: 'elsewhere' },
  ],
  run: async ({ options }: Call): Promise<ExitCode> => {
    if (process.getuid?.() !== 0) throw new Error('a report looks into containers and logs: run it as root');
    // Loaded here, so that no other verb pays for it.
    const { collect, contents, pack } = await import('./report-parts.js');
    const time = new Date().toISOString().replace(/[-:]|\.\d+/g, '');
    const name = `hotseat-report-${time}`;
    const out = resolve(typeof options['out'] === 'string' ? options['out'] : `${name}.tar.gz`);
    if (existsSync(out)) throw new Error(`${out} exists: name another file with --out`);
    const parts = await collect(version());
    writeFileSync(out, await pack(name, parts), { flag: 'wx', mode: 0o600 });
    process.stdout.write(contents(parts));
    console.log(`${out} is written. Look through it before you give it to anybody.`);
    return 0;
  },
};
