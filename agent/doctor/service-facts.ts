import { existsSync } from 'node:fs';
import { execa } from 'execa';
import { ask } from '../control/client.js';
import { rulesFile } from '../host/udev-rules.js';
import { controlSocket } from '../seat/layout.js';
import type { Refusal, ServiceFacts, UnitFacts } from './facts.js';

/** Longest that systemd, udevd and the agent may take to answer, ms: an emulated PC is slow, and a program that hangs must be reported. */
export const limit = 15_000;

/** How udevd and the service are. As root udevd is asked as well. */
export async function serviceFacts(root: boolean): Promise<ServiceFacts> {
  const [udevd, unit, holder, agent] = await Promise.all([
    root ? askUdevd() : undefined,
    askSystemd('hotseat.service'),
    askSystemd('hotseat-holder.service'),
    askAgent(),
  ]);
  return { udevd, rules: existsSync(rulesFile), unit, holder, agent };
}

async function askUdevd(): Promise<{ refusal: Refusal }> {
  const said = await execa('udevadm', ['control', '--ping', '--timeout=10'], { reject: false, timeout: limit });
  return { refusal: said.failed ? said.stderr.trim() || said.originalMessage || said.shortMessage : undefined };
}

/** systemd's facts about a unit. */
export async function askSystemd(name: string): Promise<UnitFacts | undefined> {
  const properties = 'LoadState,ActiveState,UnitFileState,Result,NRestarts';
  const command = ['show', name, `--property=${properties}`];
  const { stdout, failed } = await execa('systemctl', command, { reject: false, timeout: limit });
  return failed ? undefined : unitOf(stdout);
}

/** The output of `systemctl show`: a `Name=value` a line. */
export function unitOf(text: string): UnitFacts {
  const values = new Map(
    text.split('\n').map((line): [string, string] => {
      const at = line.indexOf('=');
      return [line.slice(0, at), line.slice(at + 1)];
    }),
  );
  const value = (name: string): string => values.get(name) ?? '';
  return {
    load: value('LoadState'),
    active: value('ActiveState'),
    file: value('UnitFileState'),
    result: value('Result'),
    restarts: Number(value('NRestarts')),
  };
}

async function askAgent(): Promise<ServiceFacts['agent']> {
  try {
    return { status: await ask(controlSocket, { verb: 'status' }, limit) };
  } catch (error) {
    return { silent: (error as Error).message };
  }
}
