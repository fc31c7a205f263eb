import { ask } from '../control/client.js';
import type { SeatStatus, Status } from '../control/messages.js';
import { controlSocket } from '../seat/layout.js';
import { printable } from './printable.js';
import type { Call, ExitCode, Verb } from './verb.js';

/** `hotseat status`: exits 1 when anything needs the admin. */
export const status: Verb = {
  summary: 'what is bound where, and what is wrong',
  usage: 'status [--json]',
  options: { json: { type: 'boolean', help: 'for machines' } },
  run: async ({ options }: Call): Promise<ExitCode> => {
    const answer = (await ask(controlSocket, { verb: 'status' }, 10_000)) as Status;
    console.log(options['json'] === true ? JSON.stringify(answer, undefined, 2) : describe(answer));
    return healthy(answer) ? 0 : 1;
  },
};

const healthy = (answer: Status): boolean =>
  answer.policyErrors.length === 0 &&
  answer.conflicts.length === 0 &&
  answer.seats.every((seat) => seat.problem === undefined && seat.deaf.length === 0);

function describe(answer: Status): string {
  const lines = [`policy ${answer.revision}`];
  for (const error of answer.policyErrors) lines.push(`  refused: ${printable(error)}`);
  for (const seat of answer.seats) lines.push('', ...describeSeat(seat));
  for (const { device, rules } of answer.conflicts) {
    lines.push(
      '',
      `conflict: ${printable(device)} is wanted by ${rules.map(printable).join(' and ')}: bound to neither`,
    );
  }
  for (const leak of answer.leaks) lines.push('', `leak: ${printable(leak)}`);
  if (answer.udev.overruns > 0) lines.push('', `udev socket overruns healed: ${answer.udev.overruns}`);
  return lines.join('\n');
}

function describeSeat(seat: SeatStatus): string[] {
  const lines = [`${seat.seat}: ${seat.engine} container ${seat.container}, ${seat.state}`];
  for (const { node, name, rule, announced } of seat.devices) {
    lines.push(
      `  ${(node ?? '').padEnd(22)} ${printable(name)}  (${printable(rule)})${announced ? '' : ', not announced yet'}`,
    );
  }
  if (seat.devices.length === 0) lines.push('  no devices');
  if (seat.problem !== undefined) lines.push(`  problem: ${printable(seat.problem)}`);
  for (const process of seat.deaf) lines.push(`  deaf, restart it: ${printable(process)}`);
  return lines;
}
