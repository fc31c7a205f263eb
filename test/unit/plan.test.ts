import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { numberText } from '../../agent/core/device.js';
import { plan } from '../../agent/core/plan.js';
import { type ActualSeat, type DesiredDevice, type DesiredSeat, nodeKey } from '../../agent/core/state.js';
import type { JournalEntry, NodeSpec, Step } from '../../agent/core/step.js';

/** A seat held in memory that does what the steps say, and refuses what no executor may be asked to do. */
class Model {
  grants = new Set<string>();
  nodes = new Map<string, NodeSpec>();
  records = new Map<string, string>();
  journal = new Map<string, JournalEntry>();
  heard: string[] = [];
  revoked: string[] = [];
  container: string | undefined;
  present = new Set<string>();

  view(): ActualSeat {
    const { container, grants, nodes, records, journal } = this;
    return {
      container,
      audience: container,
      grants,
      nodes,
      records,
      journal,
      present: (syspath) => this.present.has(syspath),
    };
  }

  run(step: Step): void {
    switch (step.step) {
      case 'intend':
        this.journal.set(step.entry.id, step.entry);
        return;
      case 'grant':
        assert.ok(this.container !== undefined, 'grants need a container');
        this.grants.add(numberText(step.number));
        return;
      case 'deny':
        this.grants.delete(numberText(step.number));
        return;
      case 'node':
        this.nodes.set(nodeKey(step.node), step.node);
        return;
      case 'unlink':
        this.nodes.delete(nodeKey(step));
        return;
      case 'record':
        this.records.set(step.record.id, step.record.text);
        return;
      case 'unrecord':
        this.records.delete(step.id);
        return;
      case 'announce':
        this.heard.push(`${step.action} ${step.entry.syspath}`);
        if (step.action !== 'remove') this.journal.set(step.entry.id, { ...step.entry, knownTo: this.container });
        return;
      case 'revoke':
        this.revoked.push(step.unit);
        return;
      case 'forget':
        this.journal.delete(step.id);
        return;
    }
  }
}

/** A keyboard: a head and one event node. `life` tells two devices with the same minor apart. */
function keyboard(minor: number, life: number, rule = 'left.yaml:3'): DesiredDevice[] {
  const unit = `/sys/devices/usb/input${life}`;
  const node: NodeSpec = {
    class: 'input',
    name: `event${minor}`,
    number: { major: 13, minor },
    uid: 0,
    gid: 0,
    mode: 0o660,
  };
  const common = { unit, tags: ['seat'], rule, hard: false, knownTo: undefined };
  const head = {
    ...common,
    id: `+input:input${life}`,
    syspath: unit,
    node: undefined,
    properties: { PHYS: `p${life}` },
  };
  const event = {
    ...common,
    id: `c13:${minor}`,
    syspath: `${unit}/event${minor}`,
    node,
    properties: { MINOR: `${minor}` },
  };
  return [head, event].map((entry) => ({ record: { id: entry.id, text: `E:LIFE=${life}\n`, tags: [] }, entry }));
}

const seat = (...devices: DesiredDevice[][]): DesiredSeat => ({ devices: devices.flat() });

function converge(model: Model, desired: DesiredSeat): Step[] {
  const steps = plan(desired, model.view());
  for (const step of steps) model.run(step);
  return steps;
}

const order = (steps: readonly Step[]): string[] => steps.map(({ step }) => step);

test('a keyboard comes in the promised order: intent, grant, node, records, announcements', () => {
  const model = new Model();
  model.container = 'a';
  const steps = converge(model, seat(keyboard(65, 1)));
  assert.equal(order(steps), ['intend', 'intend', 'grant', 'node', 'record', 'record', 'announce', 'announce']);
  assert.equal(model.heard, ['add /sys/devices/usb/input1', 'add /sys/devices/usb/input1/event65']);
  assert.equal(converge(model, seat(keyboard(65, 1))), []);
});

test('an unplugged keyboard goes in the promised order, children first, and is not revoked: the kernel did that', () => {
  const model = new Model();
  model.container = 'a';
  converge(model, seat(keyboard(65, 1)));
  const steps = converge(model, seat());
  assert.equal(order(steps), ['deny', 'unlink', 'unrecord', 'unrecord', 'announce', 'announce', 'forget', 'forget']);
  assert.equal(model.heard.slice(2), ['remove /sys/devices/usb/input1/event65', 'remove /sys/devices/usb/input1']);
});

test('a keyboard that changes hands while plugged is revoked before it is forgotten', () => {
  const model = new Model();
  model.container = 'a';
  model.present.add('/sys/devices/usb/input1/event65');
  converge(model, seat(keyboard(65, 1)));
  assert.equal(order(converge(model, seat())).slice(-3), ['revoke', 'forget', 'forget']);
});

test('a reused minor: the old device leaves whole before the new one comes', () => {
  const model = new Model();
  model.container = 'a';
  converge(model, seat(keyboard(65, 1)));
  model.heard = [];
  const steps = order(converge(model, seat(keyboard(65, 2))));
  assert.ok(steps.lastIndexOf('forget') < steps.indexOf('intend'));
  assert.equal(model.heard[0], 'remove /sys/devices/usb/input1/event65');
  assert.equal(model.heard.at(-1), 'add /sys/devices/usb/input2/event65');
});

test('without a container nothing is granted or announced, and all of it follows when it comes', () => {
  const model = new Model();
  assert.equal(order(converge(model, seat(keyboard(65, 1)))), ['intend', 'intend', 'node', 'record', 'record']);
  model.container = 'a';
  assert.equal(order(converge(model, seat(keyboard(65, 1)))), ['grant', 'announce', 'announce']);
});

test('a rule that only moved in its file re-announces nothing', () => {
  const model = new Model();
  model.container = 'a';
  converge(model, seat(keyboard(65, 1)));
  assert.equal(order(converge(model, seat(keyboard(65, 1, 'left.yaml:9')))), ['intend', 'intend']);
});

test('strays are removed: grants, nodes and records that nothing accounts for', () => {
  const model = new Model();
  model.container = 'a';
  model.grants.add('13:99');
  model.nodes.set('input/x', {
    class: 'input',
    name: 'x',
    number: { major: 13, minor: 99 },
    uid: 0,
    gid: 0,
    mode: 0o600,
  });
  model.records.set('c13:99', '');
  assert.equal(order(converge(model, seat())), ['deny', 'unlink', 'unrecord']);
});

/** Random histories: plug, unplug, replug under a reused minor, container restarts, a crash after any step. */
const action = fc.oneof(
  fc.record({ kind: fc.constant('plug' as const), minor: fc.integer({ min: 64, max: 67 }) }),
  fc.record({ kind: fc.constant('unplug' as const), minor: fc.integer({ min: 64, max: 67 }) }),
  fc.record({ kind: fc.constant('container' as const), key: fc.constantFrom('a', 'b', undefined) }),
  fc.record({ kind: fc.constant('run' as const), crashAfter: fc.option(fc.nat(20), { nil: undefined }) }),
);

test('every history converges to exactly what is wanted, whatever step it was interrupted after', () => {
  fc.assert(
    fc.property(fc.array(action, { maxLength: 40 }), (history) => {
      const model = new Model();
      const plugged = new Map<number, number>();
      let life = 0;
      const desired = () => seat(...[...plugged].map(([minor, number]) => keyboard(minor, number)));
      for (const act of history) {
        if (act.kind === 'plug' && !plugged.has(act.minor)) plugged.set(act.minor, ++life);
        if (act.kind === 'unplug') plugged.delete(act.minor);
        if (act.kind === 'container' && act.key !== model.container) {
          model.container = act.key;
          model.grants.clear();
        }
        if (act.kind === 'run')
          for (const step of plan(desired(), model.view()).slice(0, act.crashAfter)) model.run(step);
      }
      converge(model, desired());
      assert.equal(plan(desired(), model.view()), [], 'a second run finds nothing to do');
      assert.equal([...model.nodes.keys()].sort(), [...plugged.keys()].map((minor) => `input/event${minor}`).sort());
      const numbers = model.container === undefined ? [] : [...plugged.keys()].map((minor) => `13:${minor}`);
      assert.equal([...model.grants].sort(), numbers.sort());
      assert.is(model.journal.size, plugged.size * 2);
    }),
    { numRuns: 2000 },
  );
});

test.run();
