import type { Measure } from '../core/happening.js';
import type { Resource } from '../core/policy.js';
import { containerStates } from '../engines/engine.js';
import { nodeClasses } from '../seat/layout.js';
import { pressureNames } from '../shares/pressure.js';
import type { SeatShares } from '../shares/words.js';
import type { Status } from './messages.js';

/** One number of a metric. */
export interface Sample {
  /** Follows the name of the metric: `_bucket`, `_sum`, `_count`. */
  readonly suffix?: string;
  /** Its labels, and the value of each. */
  readonly labels: Readonly<Record<string, string>>;
  /** The number. */
  readonly value: number;
}

/** All numbers of one name. */
export interface Family {
  /** The name of the metric. */
  readonly name: string;
  /** Its type, as Prometheus has it. */
  readonly type: 'counter' | 'gauge' | 'histogram';
  /** Its meaning. */
  readonly help: string;
  /** Its numbers. */
  readonly samples: readonly Sample[];
}

/** Upper bounds, s. The design's promises for one event (0.5 ms, 2 ms) have bounds of their own. */
const bounds = [0.0001, 0.00025, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.05, 0.1, 1, 10];

/** How long something took, counted by upper bounds. */
export class Histogram {
  private readonly counts = bounds.map(() => 0);
  private sum = 0;
  private count = 0;

  observe(seconds: number): void {
    this.sum += seconds;
    this.count += 1;
    const at = bounds.findIndex((bound) => seconds <= bound);
    if (at >= 0) this.counts[at] = (this.counts[at] ?? 0) + 1;
  }

  samples(): Sample[] {
    let below = 0;
    const buckets = bounds.map((bound, index): Sample => {
      below += this.counts[index] ?? 0;
      return { suffix: '_bucket', labels: { le: String(bound) }, value: below };
    });
    return [
      ...buckets,
      { suffix: '_bucket', labels: { le: '+Inf' }, value: this.count },
      { suffix: '_sum', labels: {}, value: this.sum },
      { suffix: '_count', labels: {}, value: this.count },
    ];
  }
}

/** The counters of a running agent. */
export class Counts {
  private readonly histograms = { plan: new Histogram(), announce: new Histogram() };

  private units = 0;

  readonly measure: Measure = (what, value) => {
    if (what === 'units') this.units += value;
    else this.histograms[what].observe(value);
  };

  families(): Family[] {
    const { plan, announce } = this.histograms;
    return [
      histogram('hotseat_plan_duration_seconds', 'Time of comparing the state of a seat with its wanted state.', plan),
      counter('hotseat_planned_units_total', 'Units that were looked at for that.', [one(this.units)]),
      histogram(
        'hotseat_announce_duration_seconds',
        "From udevd's message being received to the node being announced in the container.",
        announce,
      ),
    ];
  }
}

/** The trail's own numbers. */
interface TrailFacts {
  readonly lost: number;
  /** By action and end: `bind done`. */
  readonly ended: ReadonlyMap<string, number>;
}

const deeds = ['policy', 'confirm', 'attach', 'detach', 'bind', 'unbind', 'revoke'];
const ends = ['done', 'gone', 'failed'];
const states = ['waiting', ...containerStates];

/** All numbers, from the agent's answer to `status` and from its own counters. Pure. */
export function metricsOf(status: Status, trail: TrailFacts, counted: readonly Family[]): Family[] {
  const { seats, udev } = status;
  // Every value that a label can have is there from the start, so that a rate has something to begin with.
  const bindings = seats.flatMap(({ seat, devices }) =>
    nodeClasses.map((name): Sample => {
      const value = devices.filter(
        ({ node }) => node !== undefined && /^\/dev\/([a-z]+)/.exec(node)?.[1] === name,
      ).length;
      return { labels: { seat, class: name }, value };
    }),
  );
  const records = deeds.flatMap((what) =>
    ends.map((end): Sample => ({ labels: { what, end }, value: trail.ended.get(`${what} ${end}`) ?? 0 })),
  );
  const inState = (state: string): number => seats.filter((seat) => seat.state === state).length;
  return [
    gauge('hotseat_bindings', 'Nodes that seats have now.', bindings),
    gauge(
      'hotseat_seats',
      'Seats by the state of their containers.',
      states.map((state) => one(inState(state), { state })),
    ),
    gauge(
      'hotseat_seat_problem',
      'Whether a seat lacks something that it must have.',
      seats.map(({ seat, problem }) => one(problem === undefined ? 0 : 1, { seat })),
    ),
    gauge(
      'hotseat_output_leased',
      'Whether the display server of a seat has an output that is for the seat.',
      seats.flatMap(({ seat, outputs = [] }) =>
        outputs.flatMap(({ card, outputs: its, leased }) =>
          its.map(({ connector }) => one(leased.includes(connector) ? 1 : 0, { seat, card, connector })),
        ),
      ),
    ),
    gauge(
      'hotseat_opened_descriptors',
      'Devices that the display server of a seat has open as descriptors.',
      seats.flatMap(({ seat, served }) => (served === undefined ? [] : [one(served.opened.length, { seat })])),
    ),
    ...shareFamilies(seats),
    gauge('hotseat_conflicts', 'Devices that two seats want, bound to neither.', [one(status.conflicts.length)]),
    gauge('hotseat_attached', 'Devices that were given to a seat by hand.', [one(status.attached.length)]),
    gauge('hotseat_leaks', 'Ways in which keys may reach somebody else.', [one(status.leaks.length)]),
    gauge('hotseat_policy_info', 'The policy that is active.', [one(1, { revision: status.revision })]),
    gauge('hotseat_policy_errors', 'Errors of the policy that was looked at last.', [one(status.policyErrors.length)]),
    counter('hotseat_udev_events_total', "udevd's messages.", [one(udev.events)]),
    counter('hotseat_udev_overruns_total', 'Times that messages of udevd were lost, and everything read again.', [
      one(udev.overruns),
    ]),
    counter('hotseat_udev_restarts_total', 'Times that the udev process was started again.', [one(udev.restarts)]),
    gauge(
      'hotseat_engine_listening',
      "Whether an engine's own events are heard.",
      status.engines.map(({ engine, place, reason }) => one(reason === undefined ? 1 : 0, { engine, place })),
    ),
    counter(
      'hotseat_engine_events_total',
      'Events of engines, each a reason to look at their containers.',
      status.engines.map(({ engine, place, words }) => one(words, { engine, place })),
    ),
    counter('hotseat_audit_records_total', 'Deeds on record, by how they ended.', records),
    counter('hotseat_audit_failures_total', 'Lines of the audit trail that could not be written.', [one(trail.lost)]),
    ...counted,
  ];
}

/** The shares of seats, and how long they have waited for processors, memory and disks. */
function shareFamilies(seats: Status['seats']): Family[] {
  const running = seats.flatMap(({ seat, shares }) => (shares === undefined ? [] : [{ seat, shares }]));
  const amounts = (names: readonly Resource[]): Sample[] =>
    running.flatMap(({ seat, shares: { resources } }) =>
      resources.flatMap(({ name, amount }) =>
        !names.includes(name) || amount === undefined || amount === 'max'
          ? []
          : [one(Number(amount), { seat, resource: name })],
      ),
    );
  const waited = running.flatMap(({ seat, shares: { pressure } }) =>
    pressureNames.flatMap((resource) => {
      const found = pressure[resource];
      if (found === undefined) return [];
      const labels = { seat, resource };
      return [one(found.someSeconds, { ...labels, kind: 'some' }), one(found.fullSeconds, { ...labels, kind: 'full' })];
    }),
  );
  const used = (value: (shares: SeatShares) => number | undefined): Sample[] =>
    running.flatMap(({ seat, shares }) => {
      const number = value(shares);
      return number === undefined ? [] : [one(number, { seat })];
    });
  return [
    gauge('hotseat_seat_weight', 'Weights by which seats divide processors and disks.', amounts(['cpu', 'io'])),
    gauge('hotseat_seat_limit', 'Bounds of seats: bytes of memory, number of processes.', amounts(['memory', 'pids'])),
    gauge(
      'hotseat_seat_memory_bytes',
      'Memory that seats have now.',
      used(({ memoryBytes }) => memoryBytes),
    ),
    gauge(
      'hotseat_seat_processes',
      'Processes and threads that seats have now.',
      used(({ processes }) => processes),
    ),
    counter(
      'hotseat_seat_pressure_seconds_total',
      'How long some, or all at once, of the processes of a seat have waited for a resource.',
      waited,
    ),
  ];
}

const one = (value: number, labels: Sample['labels'] = {}): Sample => ({ labels, value });
const gauge = (name: string, help: string, samples: readonly Sample[]): Family => ({
  name,
  type: 'gauge',
  help,
  samples,
});
const counter = (name: string, help: string, samples: readonly Sample[]): Family => ({
  name,
  type: 'counter',
  help,
  samples,
});
const histogram = (name: string, help: string, counted: Histogram): Family => ({
  ...{ name, type: 'histogram', help },
  samples: counted.samples(),
});

/** Families in Prometheus' text format (exposition formats, version 0.0.4). */
export const exposition = (families: readonly Family[]): string =>
  families
    .flatMap(({ name, type, help, samples }) => [
      `# HELP ${name} ${escaped(help, /[\\\n]/g)}`,
      `# TYPE ${name} ${type}`,
      ...samples.map(({ suffix = '', labels, value }) => `${name}${suffix}${labelled(labels)} ${value}`),
    ])
    .map((line) => `${line}\n`)
    .join('');

function labelled(labels: Sample['labels']): string {
  const pairs = Object.entries(labels).map(([key, value]) => `${key}="${escaped(value, /[\\\n"]/g)}"`);
  return pairs.length === 0 ? '' : `{${pairs.join(',')}}`;
}

const escaped = (text: string, special: RegExp): string =>
  text.replace(special, (char) => (char === '\n' ? '\\n' : `\\${char}`));
