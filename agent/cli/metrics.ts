import { renameSync, rmSync, writeFileSync } from 'node:fs';
import { ask } from '../control/client.js';
import { exposition } from '../control/metrics.js';
import { controlSocket } from '../seat/layout.js';
import { asciiJson } from './printable.js';
import type { Call, ExitCode, Verb } from './verb.js';

/** `hotseat metrics`: asked for, never served: no server that the network reaches runs as root. */
export const metrics: Verb = {
  summary: "print numbers for monitoring, in Prometheus' text format",
  usage: 'metrics [--output FILE] [--json]',
  options: {
    output: { type: 'string', help: "into a file, whole or not at all: for node_exporter's textfile collector" },
    json: { type: 'boolean', help: 'print JSON instead' },
  },
  examples: [
    { line: 'metrics', help: 'on the terminal' },
    {
      line: 'metrics --output /var/lib/prometheus/node-exporter/hotseat.prom',
      help: 'from a timer: the collector reads files that end in .prom',
    },
  ],
  run: async ({ options }: Call): Promise<ExitCode> => {
    const families = await ask(controlSocket, { verb: 'metrics' }, 10_000);
    const text = options['json'] === true ? `${asciiJson(families, 2)}\n` : exposition(families);
    const { output } = options;
    if (typeof output === 'string') replace(output, text);
    else process.stdout.write(text);
    return 0;
  },
};

/** The name that it has meanwhile is none that a collector reads. */
function replace(file: string, text: string): void {
  const draft = `${file}.${process.pid}.new`;
  try {
    writeFileSync(draft, text, { mode: 0o644, flag: 'wx' });
    renameSync(draft, file);
  } catch (error) {
    rmSync(draft, { force: true });
    throw error;
  }
}
