import { nodeKey } from '../core/state.js';
import type { House } from '../house.js';
import type { DeviceTable } from '../udev/table.js';
import type { SeatStatus, Status } from './messages.js';

/** What the daemon knows besides the house. */
interface Facts {
  readonly policyErrors: readonly string[];
  readonly udev: { readonly overruns: number; readonly restarts: number };
  readonly leaks: readonly string[];
}

/** The whole of what the agent knows, as `hotseat status --json` prints it. */
export function statusOf(house: House, table: DeviceTable, facts: Facts): Status {
  const seats = house.seats.map(({ policy, worker }): SeatStatus => {
    const report = worker.report();
    return {
      seat: policy.seat,
      container: policy.container.name,
      engine: policy.container.engine,
      state: report.container?.state ?? 'waiting',
      problem: report.problem,
      deaf: report.deaf,
      devices: report.entries
        .filter((entry) => entry.node !== undefined)
        .map((entry) => ({
          node: entry.node === undefined ? undefined : `/dev/${nodeKey(entry.node)}`,
          name: deviceName(table, entry.unit),
          rule: entry.rule,
          announced: report.container !== undefined && entry.knownTo === report.container.key,
        })),
    };
  });
  const conflicts = [...house.judged].flatMap(([device, verdict]) =>
    verdict.kind === 'conflict'
      ? [{ device, rules: verdict.claims.map(({ seat, rule }) => `${seat} ${rule.place.file}:${rule.place.line}`) }]
      : [],
  );
  return {
    revision: house.revision,
    policyErrors: facts.policyErrors,
    seats,
    conflicts,
    leaks: facts.leaks,
    udev: facts.udev,
    pid: process.pid,
  };
}

function deviceName(table: DeviceTable, unit: string): string {
  const head = table.unit(unit)?.head;
  return head?.attributes['name'] ?? head?.properties['ID_MODEL'] ?? head?.sysname ?? 'gone';
}
