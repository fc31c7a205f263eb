import { ask } from '../control/client.js';
import type { SeatStatus, Status } from '../control/messages.js';
import { receiptText } from '../core/receipts.js';
import type { Served } from '../descriptors/descriptor-keeper.js';
import { cgroupRoot } from '../kernel/cgroup.js';
import type { CardOutputs } from '../outputs/words.js';
import { controlSocket } from '../seat/layout.js';
import { pressureText, type SeatShares, sharesText } from '../shares/words.js';
import { json, print } from './answer.js';
import { leftText } from './device-tree.js';
import { bad, good, type Line, soon, type Toned } from './line.js';
import type { Call, ExitCode, Verb } from './verb.js';

/** `hotseat status`: exits 1 when anything needs the admin. */
export const status: Verb = {
  summary: 'say which seat has which devices, and what is wrong',
  usage: 'status [--json]',
  options: json,
  examples: [{ line: 'status', help: 'exits with 1 when anything needs the admin' }],
  run: async (call: Call): Promise<ExitCode> => {
    const answer = await ask(controlSocket, { verb: 'status' }, 10_000).catch(unable);
    print(call, answer, describe);
    return healthy(answer) ? 0 : 1;
  },
};

/** On a PC where no agent can run, this is the fault to name, not the missing agent. */
function unable(error: unknown): never {
  cgroupRoot();
  throw error;
}

const healthy = (answer: Status): boolean =>
  answer.policyErrors.length === 0 &&
  answer.conflicts.length === 0 &&
  answer.host.length === 0 &&
  answer.udev.away === undefined &&
  answer.audit === undefined &&
  answer.seats.every(
    ({ problem, deaf, shares, served, outputs = [] }) =>
      problem === undefined &&
      deaf.length === 0 &&
      shares?.problem === undefined &&
      served?.problem === undefined &&
      outputs.every((card) => card.problem === undefined),
  );

function describe(answer: Status): Line[] {
  const lines: Line[] = [`policy ${answer.revision}`];
  if (answer.trialEnds !== undefined) lines.push(`  on trial until ${answer.trialEnds}: hotseat confirm keeps it`);
  for (const error of answer.policyErrors) lines.push(['  ', bad('refused'), `: ${error}`]);
  for (const seat of answer.seats) lines.push('', ...describeSeat(seat));
  for (const { device, rules } of answer.conflicts) {
    lines.push('', [bad('conflict'), `: ${device} is wanted by ${rules.join(' and ')}: bound to neither`]);
  }
  for (const { device, reason } of answer.unread) lines.push('', [bad('unread'), `: nobody gets ${device}: ${reason}`]);
  for (const { device, reason } of answer.withheld) lines.push('', `${device} does not come along: ${reason}`);
  for (const { device, reason } of answer.host) lines.push('', [bad('host'), `: ${device}: ${reason}`]);
  for (const one of answer.left) lines.push('', leftText(one));
  for (const { name, port, seat, until } of answer.attached) {
    const end = until === undefined ? 'hotseat detach or a boot' : until;
    lines.push('', `attached by hand: ${name}${port === '' ? '' : ` (${port})`} to ${seat}, until ${end}`);
  }
  for (const leak of answer.leaks) lines.push('', [bad('leak'), `: ${leak}`]);
  if (answer.udev.away !== undefined) lines.push('', [bad('udev'), `: ${answer.udev.away}`]);
  if (answer.audit !== undefined) lines.push('', [bad('audit'), `: the trail cannot be written: ${answer.audit}`]);
  if (answer.udev.overruns > 0) lines.push('', `udev socket overruns healed: ${answer.udev.overruns}`);
  return lines;
}

function describeSeat(seat: SeatStatus): Line[] {
  const why = seat.reason === undefined ? '' : `: ${seat.reason}`;
  const lines: Line[] = [[`${seat.seat}: ${seat.engine} container ${seat.container}, `, stateWord(seat.state), why]];
  for (const { node, name, rule, announced, receive } of seat.devices) {
    const known = announced ? [] : [', ', soon('not announced yet')];
    const how = receive === undefined ? '' : `, ${receiptText(receive)}`;
    lines.push([`  ${(node ?? '').padEnd(22)} ${name}${how}  (${rule})`, ...known]);
  }
  const outputs = seat.outputs ?? [];
  for (const card of outputs) lines.push(...describeOutputs(card));
  if (seat.devices.length + outputs.length === 0) lines.push('  no devices');
  for (const { label, place } of seat.unmatched) {
    lines.push(`  ${place} "${label}" has matched nothing since it was loaded`);
  }
  if (seat.udev === 'own') lines.push('  udev: its own; the agent tells it of devices as the kernel would');
  if (seat.udev === 'coming') lines.push(['  ', soon('udev: waiting for its own to start')]);
  if (seat.served !== undefined) lines.push(describeServed(seat.served));
  if (seat.shares !== undefined) lines.push(...describeShares(seat.shares));
  if (seat.problem !== undefined) lines.push(['  ', bad('problem'), `: ${seat.problem}`]);
  for (const process of seat.deaf) lines.push(['  ', bad('deaf, restart it'), `: ${process}`]);
  return lines;
}

/** The outputs that a seat has of a shared card, and the consequence. */
function describeOutputs({ card, outputs, state, leased, problem, sharedWith, unguarded }: CardOutputs): Line[] {
  const lines = outputs.map(({ connector, rule }): Line => {
    const now = leased.includes(connector) ? good('shown') : soon('dark');
    return [`  ${`${card} ${connector}`.padEnd(22)} output, `, now, `  (${rule})`];
  });
  if (outputs.length === 0) lines.push(`  ${card.padEnd(22)} none of its outputs`);
  if (problem !== undefined) lines.push(['  ', bad(state === 'restart' ? 'restart' : 'output'), `: ${problem}`]);
  else if (state === 'waiting')
    lines.push('  no display server has asked for its outputs: hotseat-xorg or hotseat-wlroots starts one');
  if (sharedWith.length > 0) {
    const can = unguarded === undefined ? 'show its picture on their own outputs' : 'see and change what it shows';
    lines.push(
      `  programs of ${sharedWith.join(' and ')} can ${can}: it trusts them more than seats with cards of their own`,
    );
  }
  return lines;
}

/** The descriptors that its display server has instead of nodes. */
function describeServed({ isOpen, opened, problem }: Served): Line {
  if (problem !== undefined) return ['  ', bad('descriptors'), `: ${problem}`];
  if (!isOpen) return '  descriptors: no display server has come to /dev/input/seatd.sock';
  return `  descriptors: its display server has open: ${opened.join(', ') || 'nothing'}`;
}

/** Nothing where this host divides nothing and counts nothing. */
function describeShares(shares: SeatShares): Line[] {
  const amounts = sharesText(shares);
  const pressure = pressureText(shares);
  return [
    ...(amounts === '' ? [] : [`  shares: ${amounts}`]),
    ...(pressure === '' ? [] : [`  waited in the last 10 s for: ${pressure}`]),
    ...(shares.endsFirst
      ? ['  more than its even part of the memory: if that is used up, the kernel ends its programs first']
      : []),
    ...(shares.problem === undefined ? [] : [['  ', bad('shares'), `: ${shares.problem}`]]),
  ];
}

export const stateWord = (state: SeatStatus['state']): Toned => (state === 'running' ? good(state) : soon(state));
