import { ask } from '../control/client.js';
import type { Plan } from '../control/messages.js';
import { controlSocket } from '../seat/layout.js';
import { json, print } from './answer.js';
import { leftText } from './device-tree.js';
import type { Call, ExitCode, Verb } from './verb.js';

/** `hotseat plan`: exits 1 when `reload` would refuse. */
export const plan: Verb = {
  summary: 'list the changes that a reload, or another revision, would make; change nothing',
  usage: 'plan [REVISION] [--json]',
  options: json,
  examples: [
    { line: 'plan', help: 'the changes that a reload would make' },
    { line: 'plan HEAD~1', help: 'what going back by one commit would change' },
  ],
  run: async (call: Call): Promise<ExitCode> => {
    const answer = await ask(controlSocket, { verb: 'plan', revision: call.words[0] }, 60_000);
    print(call, answer, lines);
    return answer.dangers.length > 0 ? 1 : 0;
  },
};

function lines({ revision, changes, receipts, shares, dangers, left }: Plan): string[] {
  return [
    `policy ${revision}: ${changes.length === 0 ? 'nothing changes hands' : `changes: ${changes.length}`}`,
    ...changes.map(({ name, device, from, to }) => `  ${name} (${device}): ${from} -> ${to}`),
    ...left.map((one) => `  ${leftText(one)}`),
    ...receipts.map((change) => `  ${change}`),
    ...shares.map((change) => `  ${change}`),
    ...dangers.map((danger) => `refused without --force: ${danger}`),
  ];
}
