import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { numberText } from '../../agent/core/device.js';
import { plan } from '../../agent/core/plan.js';
import { type ActualSeat, type DesiredDevice, type DesiredSeat, nodeKey } from '../../agent/core/state.js';
import type { JournalEntry, LinkSpec, NodeSpec, Step } from '../../agent/core/step.js';

/** A seat held in memory that does what the steps say, and refuses steps that no executor may be asked to do. */
class Model {
  grants = new Map<string, boolean>();
  nodes = new Map<string, NodeSpec>();
  links = new Map<string, LinkSpec>();
  records = new Map<string, string>();
  shown: Set<string> | undefined;
  journal = new Map<string, JournalEntry>();
  heard: string[] = [];
  /** Ids of devices that a display server may open. */
  served = new Set<string>();
  revoked: string[] = [];
  hidden: (string | undefined)[] = [];
  container: string | undefined;
  present = new Set<string>();
  blocked = new Set<string>();

  view(): ActualSeat {
    const { container, grants, nodes, links, records, journal, shown } = this;
    return {
      container,
      audience: container,
      grants,
      nodes,
      links,
      records,
      journal,
      shown,
      present: ({ syspath, incarnation }) => this.present.has(`${syspath}${incarnation ?? ''}`),
      blocked: this.blocked,
    };
  }

  run(step: Step): void {
    switch (step.step) {
      case 'intend':
        this.journal.set(step.entry.id, step.entry);
        return;
      case 'grant':
        assert.ok(this.container !== undefined, 'grants need a container');
        this.grants.set(numberText(step.number), true);
        return;
      case 'serve': {
        const entry = this.journal.get(step.entry.id);
        assert.ok(entry?.served !== undefined, 'what is served is in the journal');
        this.served.add(step.entry.id);
        this.journal.set(step.entry.id, { ...entry, holder: 'h1' });
        return;
      }
      case 'withdraw':
        for (const id of step.ids) this.served.delete(id);
        if (step.nodes.length > 0) this.revoked.push(step.unit);
        return;
      case 'deny':
        this.grants.delete(numberText(step.number));
        return;
      case 'node':
        this.nodes.set(nodeKey(step.node), step.node);
        return;
      case 'show': {
        assert.ok(this.nodes.has(nodeKey(step.node)), 'what is shown is there');
        this.shown?.add(step.node.name);
        const entry = this.journal.get(step.id);
        assert.ok(entry !== undefined, 'what is shown is in the journal');
        this.journal.set(step.id, { ...entry, placeholder: { device: '1', inode: step.node.name } });
        return;
      }
      case 'hide':
        assert.ok(this.nodes.has(nodeKey({ class: 'hidraw', name: step.name })), 'hidden before it is gone');
        this.shown?.delete(step.name);
        this.hidden.push(step.placeholder?.inode);
        return;
      case 'unlink':
        this.nodes.delete(nodeKey(step));
        this.links.delete(nodeKey(step));
        return;
      case 'link':
        assert.ok(this.nodes.has(nodeKey({ ...step.link, name: step.link.node })), 'a link leads to a node');
        this.links.set(nodeKey(step.link), step.link);
        return;
      case 'record':
        this.records.set(step.record.id, step.record.text);
        return;
      case 'unrecord':
        this.records.delete(step.id);
        return;
      case 'announce':
        this.heard.push(`${step.action} ${step.entry.syspath}`);
        if (step.action !== 'remove') {
          const entry = this.journal.get(step.entry.id) ?? step.entry;
          this.journal.set(step.entry.id, { ...entry, knownTo: this.container });
        }
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
  const link: LinkSpec = { class: 'input', name: `by-path/port-${minor}-event-kbd`, node: node.name };
  return [head, event].map((entry) => ({
    record: { id: entry.id, text: `E:LIFE=${life}\n`, tags: [] },
    links: entry === event ? [link] : [],
    entry,
  }));
}

const seat = (...devices: DesiredDevice[][]): DesiredSeat => ({ devices: devices.flat(), unknown: [] });

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
  assert.equal(order(steps), ['intend', 'intend', 'grant', 'node', 'link', 'record', 'record', 'announce', 'announce']);
  assert.equal(model.heard, ['add /sys/devices/usb/input1', 'add /sys/devices/usb/input1/event65']);
  assert.equal(converge(model, seat(keyboard(65, 1))), []);
});

test('an unplugged keyboard goes in the promised order, children first, and is not revoked: the kernel did that', () => {
  const model = new Model();
  model.container = 'a';
  converge(model, seat(keyboard(65, 1)));
  const steps = converge(model, seat());
  assert.equal(order(steps), [
    ...['deny', 'unlink', 'unlink', 'unrecord', 'unrecord', 'announce', 'announce', 'forget', 'forget'],
  ]);
  assert.equal(model.heard.slice(2), ['remove /sys/devices/usb/input1/event65', 'remove /sys/devices/usb/input1']);
});

/** A card with a head, a stream and its control node, in the order in which they are announced. */
function card(incarnation?: string): DesiredDevice[] {
  const unit = '/sys/devices/x/sound/card0';
  const node = (name: string, minor: number): NodeSpec => ({
    ...{ class: 'snd', name, number: { major: 116, minor } },
    ...{ uid: 0, gid: 29, mode: 0o660 },
  });
  const entry = (id: string, syspath: string, spec: NodeSpec | undefined): JournalEntry => ({
    ...{ id, syspath, incarnation, unit, node: spec, tags: [], rule: 'left.yaml:3', hard: false, knownTo: undefined },
    properties: spec === undefined ? { SOUND_INITIALIZED: '1' } : {},
  });
  return [
    entry('c116:2', `${unit}/pcmC0D0p`, node('pcmC0D0p', 2)),
    entry('c116:9', `${unit}/controlC0`, node('controlC0', 9)),
    entry('+sound:card0', unit, undefined),
  ].map((one) => ({ record: { id: one.id, text: '', tags: [] }, links: [], entry: one }));
}

test('a sound card comes with its control node last and goes with it first, whatever order the journal was read in', () => {
  const model = new Model();
  model.container = 'a';
  const nodes = (steps: readonly Step[]) =>
    steps.flatMap((step) => (step.step === 'node' ? [step.node.name] : step.step === 'unlink' ? [step.name] : []));
  assert.equal(nodes(converge(model, seat(card()))), ['pcmC0D0p', 'controlC0']);
  assert.is(model.heard.at(-1), 'change /sys/devices/x/sound/card0');
  model.journal = new Map([...model.journal].reverse());
  assert.equal(nodes(plan(seat(), model.view())), ['controlC0', 'pcmC0D0p']);
  model.journal = new Map([...model.journal].sort(([a], [b]) => (a < b ? -1 : 1)));
  model.heard = [];
  assert.equal(nodes(converge(model, seat())), ['controlC0', 'pcmC0D0p']);
  assert.is(model.heard[0], 'remove /sys/devices/x/sound/card0');
});

test('a card that was plugged again at its port is another one, although all its names are the same', () => {
  const model = new Model();
  model.container = 'a';
  converge(model, seat(card('1')));
  model.heard = [];
  for (const { entry } of card('2')) model.present.add(`${entry.syspath}2`);
  const steps = order(converge(model, seat(card('2'))));
  assert.not.ok(steps.includes('revoke'), 'what was open of the former one is dead');
  assert.ok(steps.lastIndexOf('forget') < steps.indexOf('intend'));
  assert.is(steps.filter((step) => step === 'grant').length, 2);
  assert.equal(model.heard, [
    ...[
      '/sys/devices/x/sound/card0',
      '/sys/devices/x/sound/card0/controlC0',
      '/sys/devices/x/sound/card0/pcmC0D0p',
    ].map((syspath) => `remove ${syspath}`),
    ...['add /sys/devices/x/sound/card0/pcmC0D0p', 'add /sys/devices/x/sound/card0/controlC0'],
    'change /sys/devices/x/sound/card0',
  ]);
  assert.equal(converge(model, seat(card('2'))), []);
});

test('what was told and not noted, because the agent died just then, is told again, or told to go', () => {
  for (const stays of [true, false]) {
    const model = new Model();
    model.container = 'a';
    const steps = plan(seat(keyboard(65, 1)), model.view());
    const heard = steps.findIndex(({ step }) => step === 'announce');
    for (const step of steps.slice(0, heard)) model.run(step);
    // The container hears of the head, and the agent is killed before it can note that.
    converge(model, stays ? seat(keyboard(65, 1)) : seat());
    const said = stays ? ['add', 'add'] : ['remove', 'remove'];
    assert.equal(
      model.heard.map((line) => line.split(' ')[0]),
      said,
    );
    assert.is(model.journal.size, stays ? 2 : 0);
  }
});

/** The raw node of a HID device, a unit of its own. */
function raw(minor: number, life: number): DesiredDevice[] {
  const syspath = `/sys/devices/usb/0003:1209:0001.000${life}/hidraw/hidraw${minor}`;
  const node: NodeSpec = {
    ...{ class: 'hidraw', name: `hidraw${minor}`, number: { major: 245, minor } },
    ...{ uid: 0, gid: 104, mode: 0o660 },
  };
  const entry: JournalEntry = {
    ...{ id: `c245:${minor}`, syspath, unit: syspath, node, tags: [], properties: {} },
    ...{ rule: 'left.yaml:3', hard: false, knownTo: undefined },
  };
  return [{ record: { id: entry.id, text: '', tags: [] }, links: [], entry }];
}

test('a raw node is shown between its node and its record, and hidden between its grant and its node', () => {
  const model = new Model();
  model.container = 'a';
  model.shown = new Set();
  assert.equal(order(converge(model, seat(raw(0, 1)))), ['intend', 'grant', 'node', 'show', 'record', 'announce']);
  assert.is(model.journal.get('c245:0')?.knownTo, 'a');
  assert.equal(converge(model, seat(raw(0, 1))), []);
  assert.equal(order(converge(model, seat())), ['deny', 'hide', 'unlink', 'unrecord', 'announce', 'forget']);
  assert.equal(model.hidden, ['hidraw0'], 'with the file that was made for it');
});

test('a raw node that is no longer shown is shown again, one whose device is another one is shown again, and a stray one is hidden', () => {
  const model = new Model();
  model.container = 'a';
  converge(model, seat(raw(0, 1)));
  model.shown = new Set();
  assert.equal(order(converge(model, seat(raw(0, 1)))), ['show'], 'the container can take it only now');
  const steps = order(converge(model, seat(raw(0, 2))));
  assert.ok(steps.indexOf('hide') < steps.indexOf('show'));
  model.nodes.set('hidraw/hidraw7', { ...(model.nodes.get('hidraw/hidraw0') as NodeSpec), name: 'hidraw7' });
  model.shown.add('hidraw7');
  assert.equal(order(converge(model, seat(raw(0, 2)))), ['hide', 'unlink']);
});

/** The same keyboard, received as a descriptor, or as a node as well. */
const received = (how: 'descriptor' | 'both', devices: DesiredDevice[]): DesiredDevice[] =>
  devices.map(({ entry, record, links }) => {
    if (entry.node === undefined) return { entry, record, links };
    const { class: kind, name, number } = entry.node;
    const served = { class: kind, name, number };
    return how === 'both'
      ? { entry: { ...entry, served }, record, links }
      : { entry: { ...entry, node: undefined, served }, record, links: [] };
  });

test('what comes as a descriptor has neither grant nor node, and may be opened before anybody is told of it', () => {
  const model = new Model();
  model.container = '7:1';
  const steps = converge(model, seat(received('descriptor', keyboard(64, 1))));
  assert.equal(order(steps), ['intend', 'intend', 'serve', 'record', 'record', 'announce', 'announce']);
  assert.is(model.grants.size + model.nodes.size + model.links.size, 0);
  assert.equal([...model.served], ['c13:64']);
  assert.equal(converge(model, seat(received('descriptor', keyboard(64, 1)))), []);
});

test('a descriptor is withdrawn before anything else, and not searched for', () => {
  const model = new Model();
  model.container = '7:1';
  converge(model, seat(received('descriptor', keyboard(64, 1))));
  model.present.add('/sys/devices/usb/input1/event64');
  const steps = converge(model, seat());
  assert.equal(order(steps), ['withdraw', 'unrecord', 'unrecord', 'announce', 'announce', 'forget', 'forget']);
  assert.equal(model.revoked, ['/sys/devices/usb/input1']);
  assert.is(model.served.size, 0);
});

test('what an agent died over is served by the next one, and what comes in another way leaves first', () => {
  const model = new Model();
  model.container = '7:1';
  converge(model, seat(received('descriptor', keyboard(64, 1))));
  const entry = model.journal.get('c13:64');
  assert.ok(entry !== undefined);
  model.journal.set('c13:64', { ...entry, holder: undefined });
  model.served.clear();
  assert.equal(order(converge(model, seat(received('descriptor', keyboard(64, 1))))), ['serve']);
  const both = order(converge(model, seat(received('both', keyboard(64, 1)))));
  assert.is(both[0], 'withdraw');
  assert.ok(both.indexOf('forget') < both.indexOf('serve') && both.includes('grant') && both.includes('node'));
  assert.is(model.grants.size, 1);
  const nodes = order(converge(model, seat(keyboard(64, 1))));
  assert.is(nodes[0], 'withdraw');
  assert.is(model.served.size, 0);
  assert.is(model.nodes.size, 1);
});

test('a keyboard that changes hands while plugged is revoked before it is forgotten', () => {
  const model = new Model();
  model.container = 'a';
  model.present.add('/sys/devices/usb/input1/event65');
  converge(model, seat(keyboard(65, 1)));
  assert.equal(order(converge(model, seat())).slice(-3), ['revoke', 'forget', 'forget']);
});

test('what is blocked stays whole where it is, and holds up nothing else', () => {
  const model = new Model();
  model.container = 'a';
  converge(model, seat(keyboard(65, 1), keyboard(66, 2)));
  model.blocked.add('/sys/devices/usb/input1');
  converge(model, seat());
  assert.equal([...model.nodes.keys()], ['input/event65']);
  assert.equal([...model.grants.keys()], ['13:65']);
  model.blocked.clear();
  converge(model, seat());
  assert.is(model.nodes.size, 0);
});

/** A graphics card as a seat has it: whole, or outputs of it, for which it gets no node. */
function graphics(how: 'whole' | 'outputs'): DesiredDevice[] {
  const node: NodeSpec = { class: 'dri', name: 'card1', number: { major: 226, minor: 1 }, uid: 0, gid: 0, mode: 0o660 };
  const entry: JournalEntry = {
    ...{ id: 'c226:1', syspath: '/sys/devices/drm/card1', unit: '/sys/devices/drm', tags: [], properties: {} },
    ...{ node: how === 'whole' ? node : undefined, rule: 'left.yaml:3', hard: false, knownTo: undefined },
  };
  return [{ record: { id: entry.id, text: 'E:CARD=1\n', tags: [] }, links: [], entry }];
}

test('a card of which a seat keeps outputs leaves it as a whole, and comes again without a node', () => {
  const model = new Model();
  model.container = 'a';
  model.present.add('/sys/devices/drm/card1');
  converge(model, seat(graphics('whole')));
  model.heard = [];
  model.blocked.add('/sys/devices/drm');
  assert.equal(converge(model, seat(graphics('outputs'))), [], 'somebody holds it: nothing of it changes');
  assert.equal([...model.grants.keys()], ['226:1']);
  model.blocked.clear();
  converge(model, seat(graphics('outputs')));
  assert.equal([...model.grants.keys(), ...model.nodes.keys()], []);
  assert.equal(model.revoked, ['/sys/devices/drm']);
  assert.equal([...model.records.keys()], ['c226:1']);
  assert.equal(model.heard, ['remove /sys/devices/drm/card1', 'add /sys/devices/drm/card1']);
  assert.equal(converge(model, seat(graphics('outputs'))), []);
  converge(model, seat(graphics('whole')));
  assert.equal([...model.grants.keys(), ...model.nodes.keys()], ['226:1', 'dri/card1']);
  assert.is(model.heard.length, 3, 'and is told of again');
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
  assert.equal(order(converge(model, seat(keyboard(65, 1)))), ['intend', 'intend', 'node', 'link', 'record', 'record']);
  model.container = 'a';
  // A container that is about to be told is on record first.
  assert.equal(order(converge(model, seat(keyboard(65, 1)))), ['intend', 'intend', 'grant', 'announce', 'announce']);
});

test('what may have been told of is told to go, and told of again if it stays', () => {
  const model = new Model();
  model.container = 'a';
  converge(model, seat(keyboard(65, 1)));
  // As a crash right behind the messages, or right before them, leaves it.
  for (const [id, entry] of model.journal) model.journal.set(id, { ...entry, knownTo: undefined });
  assert.equal(order(plan(seat(keyboard(65, 1)), model.view())), ['announce', 'announce']);
  assert.equal(order(plan(seat(), model.view())).filter((step) => step === 'announce').length, 2);
});

test('a rule that only moved in its file re-announces nothing', () => {
  const model = new Model();
  model.container = 'a';
  converge(model, seat(keyboard(65, 1)));
  assert.equal(order(converge(model, seat(keyboard(65, 1, 'left.yaml:9')))), ['intend', 'intend']);
});

test('a void grant is denied when its device leaves, and renewed when the device is still wanted', () => {
  const model = new Model();
  model.container = 'a';
  converge(model, seat(keyboard(65, 1)));
  model.grants.set('13:65', false);
  assert.equal(order(plan(seat(keyboard(65, 1)), model.view())), ['grant']);
  assert.is(order(converge(model, seat()))[0], 'deny');
});

test('strays are removed: grants, nodes and records that nothing accounts for', () => {
  const model = new Model();
  model.container = 'a';
  model.grants.set('13:99', true);
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
        if (act.kind === 'unplug') {
          plugged.delete(act.minor);
          // The kernel voids the grant with the device; it stays in the map until it is denied.
          if (model.grants.has(`13:${act.minor}`)) model.grants.set(`13:${act.minor}`, false);
        }
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
      assert.equal(
        [...model.grants].sort(),
        numbers.sort().map((number) => [number, true]),
      );
      assert.is(model.journal.size, plugged.size * 2);
      assert.equal(
        [...model.links.values()].map(({ node }) => node).sort(),
        [...plugged.keys()].map((minor) => `event${minor}`).sort(),
      );
    }),
    { numRuns: 2000 },
  );
});

test.run();
