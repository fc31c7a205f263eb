import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { Status } from '../../agent/control/messages.js';
import { Counts, exposition, type Family, Histogram, metricsOf } from '../../agent/control/metrics.js';

const status: Status = {
  revision: 'a"b\\c\nd',
  policyErrors: ['one'],
  trialEnds: undefined,
  seats: [
    {
      ...{ seat: 'left', container: 'left', engine: 'lxc', state: 'running' as const, reason: undefined },
      ...{ problem: 'x', deaf: [], udev: 'ours' as const, unmatched: [] },
      devices: [
        { node: '/dev/input/event3', name: 'Keys', rule: 'left.yaml:5', announced: true },
        { node: '/dev/input/event4', name: 'Keys', rule: 'left.yaml:5', announced: true },
        { node: '/dev/snd/controlC0', name: 'Card', rule: 'left.yaml:7', announced: true },
      ],
      shares: {
        resources: [
          { name: 'cpu', amount: '200', asked: true },
          { name: 'memory', amount: 'max', asked: false },
          { name: 'io', amount: undefined, asked: false },
          { name: 'pids', amount: '3000', asked: false },
        ],
        ...{ group: 'lxc.payload.left', means: 'the files of lxc.payload.left', problem: undefined },
        pressure: { cpu: { some: 12, full: 1, someSeconds: 2.5, fullSeconds: 0.5 } },
        ...{ memoryBytes: 4096, processes: 7, endsFirst: false },
      },
      outputs: [
        {
          ...{ card: '/dev/dri/card1', state: 'leased', leased: ['DP-1'], sharedWith: ['right'] },
          outputs: [
            { connector: 'DP-1', rule: 'left.yaml:9' },
            { connector: 'DP-2', rule: 'left.yaml:9' },
          ],
        },
      ],
      served: { isOpen: true, opened: ['/dev/input/event3'] },
    },
    {
      ...{ seat: 'right', container: 'right', engine: 'lxc', state: 'waiting' as const, reason: 'stopped' },
      ...{ problem: undefined, deaf: [], devices: [], udev: undefined, unmatched: [] },
    },
  ],
  conflicts: [],
  leaks: [],
  udev: { events: 12, overruns: 1, restarts: 2 },
  engines: [
    { engine: 'lxc', place: 'lxc-monitor --name .*', reason: undefined, words: 7 },
    { engine: 'docker', place: '/run/docker.sock', reason: 'dockerd does not run', words: 0 },
  ],
  withheld: [],
  unread: [],
  left: [],
  host: [],
  attached: [],
  pid: 1,
};

/** Numbers by name and labels, read as Prometheus reads them; throws on a line that is not of the format. */
function parsed(text: string): Map<string, number> {
  const found = new Map<string, number>();
  assert.ok(text.endsWith('\n'));
  let family = '';
  for (const line of text.slice(0, -1).split('\n')) {
    const comment = /^# (HELP|TYPE) ([a-z_]+) \S.*$/.exec(line);
    if (comment !== null) {
      if (comment[1] === 'TYPE') family = comment[2] ?? '';
      continue;
    }
    const sample = /^([a-z_]+)(\{(?:[a-z]+="(?:[^"\\\n]|\\[\\n"])*",?)*\})? (\S+)$/.exec(line);
    assert.ok(sample !== null, line);
    const [, name = '', labels = '', value] = sample;
    assert.ok(
      name === family || /^_(bucket|sum|count)$/.test(name.slice(family.length)),
      `${name} stands below ${family}`,
    );
    assert.not.ok(found.has(name + labels), `${name}${labels} twice`);
    found.set(name + labels, Number(value));
  }
  return found;
}

test('numbers of what there is are there, in the format, whatever the names hold', () => {
  const counts = new Counts();
  counts.measure('announce', 0.0004);
  const trail = { lost: 3, ended: new Map([['bind done', 5]]) };
  const found = parsed(exposition(metricsOf(status, trail, counts.families())));
  const expected: Readonly<Record<string, number>> = {
    'hotseat_bindings{seat="left",class="input"}': 2,
    'hotseat_bindings{seat="left",class="snd"}': 1,
    'hotseat_bindings{seat="right",class="dri"}': 0,
    'hotseat_output_leased{seat="left",card="/dev/dri/card1",connector="DP-1"}': 1,
    'hotseat_output_leased{seat="left",card="/dev/dri/card1",connector="DP-2"}': 0,
    'hotseat_opened_descriptors{seat="left"}': 1,
    'hotseat_seat_weight{seat="left",resource="cpu"}': 200,
    'hotseat_seat_limit{seat="left",resource="pids"}': 3000,
    'hotseat_seat_memory_bytes{seat="left"}': 4096,
    'hotseat_seat_processes{seat="left"}': 7,
    'hotseat_seat_pressure_seconds_total{seat="left",resource="cpu",kind="some"}': 2.5,
    'hotseat_seat_pressure_seconds_total{seat="left",resource="cpu",kind="full"}': 0.5,
    'hotseat_seats{state="running"}': 1,
    'hotseat_seats{state="waiting"}': 1,
    'hotseat_seats{state="frozen"}': 0,
    'hotseat_seat_problem{seat="left"}': 1,
    'hotseat_policy_info{revision="a\\"b\\\\c\\nd"}': 1,
    hotseat_policy_errors: 1,
    hotseat_udev_events_total: 12,
    hotseat_udev_overruns_total: 1,
    hotseat_udev_restarts_total: 2,
    hotseat_audit_failures_total: 3,
    'hotseat_engine_listening{engine="lxc",place="lxc-monitor --name .*"}': 1,
    'hotseat_engine_listening{engine="docker",place="/run/docker.sock"}': 0,
    'hotseat_engine_events_total{engine="lxc",place="lxc-monitor --name .*"}': 7,
    'hotseat_audit_records_total{what="bind",end="done"}': 5,
    'hotseat_audit_records_total{what="revoke",end="failed"}': 0,
    'hotseat_announce_duration_seconds_bucket{le="0.00025"}': 0,
    'hotseat_announce_duration_seconds_bucket{le="0.0005"}': 1,
    hotseat_announce_duration_seconds_count: 1,
    hotseat_plan_duration_seconds_count: 0,
  };
  for (const [name, value] of Object.entries(expected)) assert.is(found.get(name), value, name);
});

test('names and units are as Prometheus wants them', () => {
  for (const { name, type, help } of metricsOf(status, { lost: 0, ended: new Map() }, new Counts().families())) {
    assert.is(name.endsWith('_total'), type === 'counter', name);
    if (type === 'histogram') assert.match(name, /_seconds$/);
    assert.match(help, /^\S.*\.$/);
  }
});

test('a histogram counts everything once, in every bucket that it fits', () => {
  fc.assert(
    fc.property(fc.array(fc.double({ min: 0, max: 100, noNaN: true })), (values) => {
      const histogram = new Histogram();
      for (const value of values) histogram.observe(value);
      const samples = histogram.samples();
      for (const { labels, value } of samples.filter(({ suffix }) => suffix === '_bucket')) {
        const bound = labels['le'] === '+Inf' ? Number.POSITIVE_INFINITY : Number(labels['le']);
        assert.is(value, values.filter((one) => one <= bound).length, `at most ${bound}`);
      }
      assert.is(samples.at(-1)?.value, values.length);
      const total = values.reduce((sum, value) => sum + value, 0);
      assert.ok(Math.abs((samples.at(-2)?.value ?? Number.NaN) - total) <= 1e-9 * Math.max(1, total));
    }),
  );
});

test('whatever a label holds, a family is one family', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), fc.string({ unit: 'binary' }), (label, help) => {
      const family: Family = {
        name: 'a',
        type: 'gauge',
        help: `x${help}`,
        samples: [{ labels: { l: label }, value: 1 }],
      };
      const lines = exposition([family]).split('\n');
      assert.is(lines.length, 4);
      const [, escaped = ''] = /^a\{l="(.*)"\} 1$/su.exec(lines[2] ?? '') ?? [];
      assert.is(
        escaped.replace(/\\(.)/g, (_, char: string) => (char === 'n' ? '\n' : char)),
        label,
      );
    }),
  );
});

test.run();
