// The page of the audit trail.

import { formerTrail, trailFile } from '../../agent/audit/trail.js';
import { permitted } from '../../agent/control/permission.js';
import { declarations, declared, elsewhere, fenced, page } from './page.js';
import { Shapes } from './shape.js';

const file = 'agent/core/audit.ts';

export function auditPage(): string {
  const shapes = new Shapes(declarations, elsewhere);
  return page(
    'The audit trail',
    '`hotseat log` reads the trail; this page is for programs that read it themselves. [Administer](../howto/administer.md) says how to',
    'use the verb.',
    '',
    `The trail is \`${trailFile}\`. When it has grown to 8 MiB it becomes \`${formerTrail(trailFile)}\`.`,
    `The file that had this name before is lost. Root and the members of \`${permitted.all}\` can read it. Each line is a JSON object, and`,
    'lines are only ever added.',
    '',
    'An action has two lines. The first is written before the action begins, the second when it has ended. Both have the same `id`:',
    '',
    ...fenced(
      'json',
      '{"id": "k3x9-7", "at": "2026-11-24T21:29:33.257Z", "begin": "bind", "seat": "left", "nodes": ["/dev/input/event2"], "revision": "6fb8…"}\n' +
        '{"id": "k3x9-7", "at": "2026-11-24T21:29:33.284Z", "end": "done", "ms": 27.196}',
    ),
    '',
    'A first line without a second one is an action that a crash or a power cut interrupted. If the run that wrote it still runs, the',
    'action is under way. The part of `id` before the last hyphen is the same for all actions of one run of the agent. The action `run`',
    'lasts as long as the agent, and each file begins with the first line of the run that writes it.',
    '',
    'A full disk or a power cut can leave a line that is no JSON. Pass over it. Writes are asynchronous: a power cut may lose the last few',
    'seconds of lines.',
    '',
    '## The first line',
    '',
    '| field | type | meaning |',
    '|---|---|---|',
    '| `id` | text | Names the action. |',
    '| `at` | text | When it began (ISO 8601, UTC). |',
    '| `revision` | text | The policy that was in force. |',
    ...shapes
      .table(declared('Deed', file).forms[0]?.fields ?? [])
      .slice(2)
      .map((row) => row.replace(/^\| `what` /, '| `begin` ')),
    '',
    '## The second line',
    '',
    '| field | type | meaning |',
    '|---|---|---|',
    '| `id` | text | Names the action. |',
    '| `at` | text | When it ended (ISO 8601, UTC). |',
    '| `ms` | number | How long it took, in milliseconds. |',
    ...shapes.table(declared('Outcome', file).forms[0]?.fields ?? []).slice(2),
    ...shapes.sections(),
  );
}
