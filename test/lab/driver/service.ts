// Where the lab meets the agent: its service in the guest, and the questions of tests.

import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Request, Response, SeatStatus, Status } from '../../../agent/control/messages.js';
import { type Lab, seats } from './lab.js';
import { checkout } from './paths.js';
import { step } from './progress.js';

export const HOTSEAT_CLI = ['node', '/opt/hotseat/dist/hotseat/main.js'] as const;
export const HOTSEAT_UNIT = 'hotseat.service';
/** Where the lab's seat files are in the guest. */
export const policyDirectory = '/etc/hotseat/policies';

const checkoutFile = (...path: string[]) => readFile(join(checkout, ...path), 'utf8');

/** Installs the deployed agent as the README tells an admin to: policies, the containers' snippet, `hotseat install`. */
export async function startAgent(lab: Lab): Promise<void> {
  await step('starting the agent', async () => {
    for (const file of await readdir(join(checkout, 'policies'))) {
      if (file.endsWith('.yaml')) await lab.putFile(`${policyDirectory}/${file}`, await checkoutFile('policies', file));
    }
    const snippet = await checkoutFile('rules', 'lxc-seat.conf');
    for (const seat of seats) {
      const text = snippet.replaceAll('SEAT', seat).replaceAll('/usr/bin/hotseat', '/usr/local/bin/hotseat');
      await lab.putFile(`/var/lib/lxc/${seat}/hotseat.conf`, text);
      // The agent gives the card; the lab's stand-in for it would mount a node below the graft.
      await lab.putFile(`/var/lib/lxc/${seat}/card.conf`, '');
    }
    // A plain directory, so that tests change seat files without committing them.
    await lab.putFile('/etc/default/hotseat', '');
    try {
      await lab.guest([...HOTSEAT_CLI, 'install'], { timeoutMs: 150_000 });
    } catch (error) {
      const { stdout } = await lab.guest(['journalctl', '-u', HOTSEAT_UNIT, '-n', '30', '-o', 'cat', '--no-pager']);
      await lab.guest(['systemctl', 'stop', HOTSEAT_UNIT], { allowFailure: true }); // no restart loop during the rest
      throw new Error(`${String(error)}\n${stdout}`);
    }
  });
}

/** The agent's answer to a request; throws while it does not listen, and when it refuses. */
export async function ask(lab: Lab, request: Request): Promise<unknown> {
  const response = JSON.parse(await lab.ask('/run/hotseat/control.sock', JSON.stringify(request))) as Response;
  if (!response.ok) throw new Error([response.error, ...(response.details ?? [])].join('\n'));
  return response.result;
}

/** The agent's answer to `status`; throws while it does not listen. */
export const status = async (lab: Lab): Promise<Status> => (await ask(lab, { verb: 'status' })) as Status;

/** The agent's word about one seat; undefined when its policy does not name it. */
export const seatStatus = async (lab: Lab, name: string): Promise<SeatStatus | undefined> =>
  (await status(lab)).seats.find(({ seat }) => seat === name);

/** The request of `hotseat reload`. */
export const reload = (lab: Lab, ...options: readonly '--force'[]) =>
  ask(lab, { verb: 'reload', force: options.includes('--force') });

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
  /** Of a driver that was bound again, in words: why a descriptor may be left. */
  readonly left?: readonly string[];
  readonly handed?: readonly string[];
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

/**
 * The log of a seat's Xorg, line by line, without the time that libinput took on a busy machine: it says that at any moment
 * (libinput, evdev_note_time_delay).
 */
export async function xorgLog(lab: Lab, seat: string): Promise<string[]> {
  const { stdout } = await lab.inContainer(seat, ['cat', '/var/log/Xorg.0.log']);
  return stdout.split('\n').filter((line) => !/your system is too slow|log rate limit exceeded/.test(line));
}

/** Waits until a seat's Xorg has this many real input devices. */
export async function inputs(lab: Lab, seat: string, count: number, timeoutMs = 30_000): Promise<void> {
  const script = `test "$(xinput list --name-only | grep -vc 'Virtual core')" = ${count}`;
  await lab.untilInside(seat, `${count} input devices at ${seat}`, script, timeoutMs);
}
