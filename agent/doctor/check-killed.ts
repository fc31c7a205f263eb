import { scores } from '../core/kill-order.js';
import type { SeatFacts } from './facts.js';
import { about, type Finding } from './finding.js';

/** The fate of a seat when the memory of the PC is used up and the kernel ends a program of it. */
export function checkKilled({ seat, killed }: SeatFacts, agentRuns: boolean): Finding[] {
  const { warning } = about(`seat ${seat}`);
  if (killed === undefined) return [];
  const { score, group, stopped } = killed;
  const all = 'when memory is used up and one program of it is ended, all of them are';
  return [
    ...(stopped === undefined
      ? []
      : [
          warning(
            `${all}: OOMPolicy of ${stopped} says so`,
            `OOMPolicy=continue below [${stopped.endsWith('.scope') ? 'Scope' : 'Service'}] by systemctl edit ${stopped}`,
          ),
        ]),
    ...(group === undefined || stopped !== undefined
      ? []
      : [warning(`${all}: memory.oom.group of ${group} is 1`, `echo 0 > /sys/fs/cgroup/${group}/memory.oom.group`)]),
    ...(score === undefined || score >= scores.seat || !agentRuns
      ? []
      : [
          warning(
            `when memory is used up, programs of the host may be ended before those of the seat: oom_score_adj of its init is ${score}, not ${scores.seat}`,
            'journalctl -u hotseat says why it could not be set',
          ),
        ]),
  ];
}
