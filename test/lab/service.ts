// Where the lab meets the agent: its service in the guest, and what tests ask of it.

import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Status } from '../../agent/control/messages.js';
import { type Lab, seats } from './lab.js';
import { checkout } from './paths.js';
import { step } from './progress.js';

export const HOTSEAT_CLI = ['node', '/opt/hotseat/dist/agent/cli/main.js'] as const;
export const HOTSEAT_UNIT = 'hotseat.service';
/** Where the lab's seat files are in the guest. */
export const policyDirectory = '/etc/hotseat/policies';

const checkoutFile = (...path: string[]) => readFile(join(checkout, ...path), 'utf8');

/** Installs the deployed agent as the README tells an admin to: policies, the containers' snippet, units; starts it. */
export async function startAgent(lab: Lab): Promise<void> {
  await step('starting the agent', async () => {
    for (const file of await readdir(join(checkout, 'policies'))) {
      if (file.endsWith('.yaml')) await lab.putFile(`${policyDirectory}/${file}`, await checkoutFile('policies', file));
    }
    const snippet = await checkoutFile('rules', 'lxc-seat.conf');
    for (const seat of seats) {
      await lab.putFile(`/var/lib/lxc/${seat}/hotseat.conf`, snippet.replaceAll('SEAT', seat));
      // The agent gives the card; the lab's stand-in for it would mount a node below the graft.
      await lab.putFile(`/var/lib/lxc/${seat}/card.conf`, '');
    }
    await lab.sh('cp /opt/hotseat/rules/*.service /etc/systemd/system/ && systemctl daemon-reload');
    try {
      await lab.guest(['systemctl', 'enable', '--now', HOTSEAT_UNIT], { timeoutMs: 100_000 });
    } catch (error) {
      const { stdout } = await lab.guest(['journalctl', '-u', HOTSEAT_UNIT, '-n', '30', '-o', 'cat', '--no-pager']);
      await lab.guest(['systemctl', 'stop', HOTSEAT_UNIT], { allowFailure: true }); // no restart loop under what follows
      throw new Error(`${String(error)}\n${stdout}`);
    }
  });
}

/** What `hotseat status --json` says. */
export async function status(lab: Lab): Promise<Status> {
  const { stdout } = await lab.guest([...HOTSEAT_CLI, 'status', '--json'], { allowFailure: true, timeoutMs: 60_000 });
  return JSON.parse(stdout) as Status;
}

/** A line of the agent's log. */
export interface LogLine {
  readonly msg: string;
  readonly level: number;
  readonly seat?: string;
  readonly container?: string;
  readonly device?: string;
  readonly ms?: number;
  readonly from?: string;
  readonly rule?: string;
}

/** The agent's log since the guest booted, of all its runs. */
export async function agentLog(lab: Lab): Promise<LogLine[]> {
  const { stdout } = await lab.guest(['journalctl', '-u', HOTSEAT_UNIT, '-b', '-o', 'cat', '--no-pager']);
  return stdout.split('\n').flatMap((line) => (line.startsWith('{') ? [JSON.parse(line) as LogLine] : []));
}

/** Names in `xinput list` of a seat, without X's own virtual devices. */
export async function xinput(lab: Lab, seat: string): Promise<string[]> {
  const { stdout } = await lab.inContainer(seat, ['xinput', 'list', '--name-only'], { allowFailure: true });
  return stdout
    .split('\n')
    .map((name) => name.replace(/^[^A-Za-z0-9]*/, '').trim())
    .filter((name) => name !== '' && !name.startsWith('Virtual core'));
}

/** Waits until a seat's Xorg has this many real input devices. */
export function inputs(lab: Lab, seat: string, count: number, timeoutMs = 30_000): Promise<void> {
  return lab.until(
    `${count} input devices at ${seat}`,
    async () => (await xinput(lab, seat)).length === count,
    timeoutMs,
  );
}
