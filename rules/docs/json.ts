// The page of the JSON that verbs print with --json.

import { verbs } from '../../agent/cli/verbs.js';
import { declarations, elsewhere, page } from './page.js';
import { Shapes } from './shape.js';

const messages = 'agent/control/messages.ts';

/** The output of each verb, as a type of the file that declares or imports it. `a line`: one object a line. */
const printed: Readonly<Record<string, { readonly type: string; readonly file: string; readonly lines?: true }>> = {
  status: { type: 'Status', file: messages },
  seats: { type: 'SeatStatus[]', file: messages },
  devices: { type: 'DeviceInfo[]', file: messages },
  explain: { type: 'Explanation', file: messages },
  'explain --seat SEAT': { type: 'ShareExplanation', file: messages },
  'identify SEAT': { type: 'Touched', file: 'agent/cli/identify.ts' },
  'identify OUTPUT': { type: 'IdentifiedOutput', file: messages },
  record: { type: 'Fixture', file: messages },
  plan: { type: 'Plan', file: messages },
  attach: { type: 'Attached', file: messages },
  detach: { type: 'Attached', file: messages },
  watch: { type: 'Happened', file: messages, lines: true },
  doctor: { type: 'Finding[]', file: 'agent/doctor/finding.ts' },
  log: { type: 'TrailRecord', file: 'agent/audit/trail-reader.ts', lines: true },
  metrics: { type: 'Family[]', file: 'agent/control/metrics.ts' },
  check: { type: 'CheckAnswer', file: 'agent/cli/check.ts' },
  test: { type: 'TestAnswer', file: 'agent/cli/test.ts' },
  fmt: { type: 'Outcome[]', file: 'agent/policy/format-file.ts' },
};

export function jsonPage(): string {
  const named = new Set(Object.keys(printed).map((verb) => verb.split(' ')[0]));
  const able = Object.entries(verbs).filter(([, { options }]) => 'json' in options);
  for (const [verb] of able)
    if (!named.has(verb)) throw new Error(`rules/docs/json.ts does not say what ${verb} prints`);
  const shapes = new Shapes(declarations, elsewhere);
  const rows = Object.entries(printed).map(([verb, { type, file, lines }]) => {
    const what = shapes.words(type, file);
    return `| \`${verb}\` | ${lines === true ? `one ${what} a line` : what} |`;
  });
  return page(
    'JSON of the verbs',
    'With `--json`, a verb prints JSON for scripts. Fields without a value are left out. A new version may add fields; a script must ignore',
    'fields that it does not know. When the agent refuses, the verb prints an object with a [code](codes.md) instead.',
    '',
    '| verb | prints |',
    '|---|---|',
    ...rows,
    ...shapes.sections(),
  );
}
