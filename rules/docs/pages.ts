// Pages of the reference that are made of the code's own tables, so that they cannot say anything else.

import { allHelp, verbHelp } from '../../agent/cli/help.js';
import { files } from '../../agent/cli/man.js';
import { verbs } from '../../agent/cli/verbs.js';
import type { Status } from '../../agent/control/messages.js';
import { Counts, type Family, metricsOf } from '../../agent/control/metrics.js';
import type { SeatShares } from '../../agent/shares/words.js';
import { auditPage } from './audit.js';
import { codesPage } from './codes.js';
import { jsonPage } from './json.js';
import { cell, fenced, type GeneratedPage, page } from './page.js';
import { protocolPage } from './protocol.js';

/** All pages that `npm run docs` writes. */
export const generatedPages = (): readonly GeneratedPage[] => [
  { path: 'docs/reference/verbs.md', text: verbsPage() },
  { path: 'docs/reference/metrics.md', text: metricsPage() },
  { path: 'docs/reference/files.md', text: filesPage() },
  { path: 'docs/reference/json.md', text: jsonPage() },
  { path: 'docs/reference/protocol.md', text: protocolPage() },
  { path: 'docs/reference/audit.md', text: auditPage() },
  { path: 'docs/reference/codes.md', text: codesPage() },
];

const verbsPage = (): string =>
  page(
    'Verbs',
    'Each verb has `--help` with examples, and most have `--json`. This page shows the same texts. Exit status 0 is fine, 1 means',
    'that the answer is no, 2 is misuse or a fault.',
    '',
    ...fenced('console', `$ hotseat help\n${allHelp(verbs)}`),
    ...Object.entries(verbs).flatMap(([name, verb]) => ['', `## ${name}`, '', ...fenced('text', verbHelp(verb))]),
  );

const filesPage = (): string =>
  page(
    'Files',
    'The manual page hotseat(8) has the same table.',
    '',
    '| file | meaning |',
    '|---|---|',
    ...files.map(
      ([path, meaning]) =>
        `| ${path
          .split(', ')
          .map((name) => `\`${name}\``)
          .join(', ')} | ${cell(meaning)} |`,
    ),
  );

const metricsPage = (): string =>
  page(
    'Metrics',
    '`hotseat metrics` prints these in the text format of Prometheus. A duration is in seconds, an amount of memory in bytes.',
    '',
    '| name | type | labels | meaning |',
    '|---|---|---|---|',
    ...metricsOf(example, { lost: 0, ended: new Map() }, new Counts().families()).map(
      (family) => `| \`${family.name}\` | ${family.type} | ${labelsOf(family)} | ${cell(family.help)} |`,
    ),
  );

/** Labels that tell the numbers of a family apart; `le` is the format's own. */
const labelsOf = ({ samples }: Family): string =>
  [...new Set(samples.flatMap(({ labels }) => Object.keys(labels)))]
    .filter((name) => name !== 'le')
    .map((name) => `\`${name}\``)
    .join(', ');

const shares: SeatShares = {
  resources: (['cpu', 'memory', 'io', 'pids'] as const).map((name) => ({ name, amount: '100', asked: true })),
  pressure: { cpu: { some: 0, full: 0, someSeconds: 0, fullSeconds: 0 } },
  ...{ group: 'left', means: 'the files of left', problem: undefined, memoryBytes: 0, processes: 0, endsFirst: false },
};

/** A PC that has something to count of every family. */
const example: Status = {
  seats: [
    {
      ...{ seat: 'left', container: 'left', engine: 'lxc', state: 'running', reason: undefined, problem: undefined },
      ...{ deaf: [], udev: 'ours', unmatched: [], devices: [], shares },
    },
  ],
  engines: [{ engine: 'lxc', place: 'lxc-monitor', reason: undefined, words: 0 }],
  ...{
    revision: 'unversioned',
    policyErrors: [],
    trialEnds: undefined,
    conflicts: [],
    withheld: [],
    unread: [],
    left: [],
    host: [],
  },
  ...{ leaks: [], udev: { events: 0, overruns: 0, restarts: 0 }, attached: [], pid: 1 },
};
