// The page of the control protocol.

import type { Request } from '../../agent/control/messages.js';
import { isForAdmins, permitted } from '../../agent/control/permission.js';
import { rootSocketOf } from '../../agent/control/places.js';
import { limits } from '../../agent/control/server.js';
import { controlSocket } from '../../agent/seat/layout.js';
import { cell, declarations, declared, elsewhere, fenced, page } from './page.js';
import { Shapes } from './shape.js';

const messages = 'agent/control/messages.ts';

export function protocolPage(): string {
  const shapes = new Shapes(declarations, elsewhere);
  const answers = new Map(
    (declared('Answers', messages).forms[0]?.fields ?? []).map(({ name, type }): [string, string] => [name, type]),
  );
  const requests = declared('Request', messages).forms.flatMap(({ fields, meaning }) => {
    const [tag, ...others] = fields;
    const verb = (tag?.type ?? '').slice(1, -1) as Request['verb'];
    const answer = answers.get(verb);
    const result = answer === undefined ? 'a [Happened](json.md#happened) for each event' : kindOf(answer);
    const may = isForAdmins(verb) ? `root and the group \`${permitted.all}\`` : 'everybody';
    return [
      ...['', `### ${verb}`, ''],
      ...(meaning === '' ? [] : [meaning, '']),
      `Who may ask: ${may}. Result: ${result}.`,
      ...(others.length === 0 ? [] : ['', ...shapes.table(others)]),
    ];
  });
  return page(
    'The control protocol',
    'The verbs talk to the agent through a unix socket. A program of your own can do the same.',
    '',
    `Everybody asks at \`${controlSocket}\`. Root also has \`${rootSocketOf(controlSocket)}\`, where no crowd is in the way. The kernel`,
    'tells the agent who is at the other end. A request needs no password, and cannot claim to be from somebody else.',
    '',
    '## Lines',
    '',
    'A client sends one JSON object a line. The agent answers each with one line, in the order in which it was asked:',
    '',
    ...fenced('json', '{"verb": "explain", "device": "/dev/input/event3"}'),
    '',
    ...fenced('json', '{"ok": true, "result": {"device": "…", "owner": "left"}}'),
    '',
    ...fenced('json', '{"ok": false, "code": "no-device", "error": "…", "details": []}'),
    '',
    '`result` is described on the page [JSON of the verbs](json.md), and `code` on the page [Codes](codes.md). `watch` is answered with a',
    'line for each event, as long as the client listens.',
    '',
    'Limits:',
    '',
    `- A line has at most ${limits.line / 1024} KiB. A longer one, or one that is no JSON, is answered with \`bad-request\`.`,
    `- A connection that sends nothing for ${limits.idleMs / 1000} s is closed, unless it waits for an answer or watches.`,
    `- A client that watches and leaves more than ${limits.unread / 2 ** 20} MiB unread is dropped, with the code \`busy\`.`,
    `- A user who asks more than a fair share waits, and is refused with \`busy\` where that would take longer than ${limits.delayMs / 1000} s. Root`,
    '  does not wait.',
    '',
    '## Requests',
    '',
    `Where the host has a group \`${permitted.reading}\`, *everybody* below means root, its members, and those of \`${permitted.all}\`.`,
    ...requests,
    ...shapes.sections(),
  );
}

/** `DeviceInfo[]`, as a link to where it is described. */
const kindOf = (type: string): string => {
  if (type === 'null') return '`null`';
  if (type.startsWith('{')) return cell(`\`${type.replace(/;? \}$/, ' }')}\``);
  const name = type.replace('[]', '');
  const link = elsewhere[name] ?? `[${name}](json.md#${name.toLowerCase()})`;
  return type.endsWith('[]') ? `list of ${link}` : link;
};
