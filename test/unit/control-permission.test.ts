import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { parseRequest, type Request } from '../../agent/control/messages.js';
import { refusal } from '../../agent/control/permission.js';

const reading = ['status', 'watch', 'devices', 'explain', 'record', 'metrics', 'wait'] as const;
const writing = ['reload', 'confirm', 'attach', 'detach', 'plan', 'identify'] as const;
const peer = (uid: number, ...groups: number[]) => ({ uid, pid: 7, groups });
const known = (names: Readonly<Record<string, number>>) => (name: string) => names[name];
const allowed = (
  verbs: readonly Request['verb'][],
  who: ReturnType<typeof peer>,
  names: Readonly<Record<string, number>>,
) => verbs.filter((verb) => refusal(verb, who, known(names)) === undefined);

test('root may do everything, whatever groups there are', () => {
  assert.equal(allowed([...reading, ...writing], peer(0), {}), [...reading, ...writing]);
});

test('everybody reads and nobody writes; a group hotseat narrows it to its members', () => {
  assert.equal(allowed(reading, peer(1000, 1000), {}), [...reading]);
  assert.equal(allowed(reading, peer(1000, 1000), { hotseat: 50 }), []);
  assert.equal(allowed(reading, peer(1000, 1000, 50), { hotseat: 50 }), [...reading]);
  for (const names of [{}, { hotseat: 50 }, { hotseat: 50, 'hotseat-admin': 51 }])
    assert.equal(allowed(writing, peer(1000, 1000, 50), names), []);
});

test('members of hotseat-admin do everything', () => {
  const all = [...reading, ...writing];
  assert.equal(allowed(all, peer(1000, 1000, 51), { hotseat: 50, 'hotseat-admin': 51 }), all);
});

test('a refusal names the verb, the group and the remedy, and how to make a group that is not there', () => {
  const told = refusal('reload', peer(1000), known({}));
  assert.is(told?.message, 'reload is for root and for members of the group hotseat-admin');
  assert.equal(told?.details, [
    'as root: groupadd --system hotseat-admin',
    'as root: usermod --append --groups hotseat-admin NAME; it counts from the next login on',
  ]);
  assert.is(refusal('status', peer(1000), known({ hotseat: 50 }))?.details.length, 1);
});

test('requests to attach are checked before they are answered', () => {
  const parse = (value: object) => parseRequest(JSON.stringify({ verb: 'attach', ...value }));
  assert.equal(parse({ device: 'event3', seat: 'left' }), {
    verb: 'attach',
    device: 'event3',
    seat: 'left',
    force: false,
  });
  assert.equal(parse({ device: 'event3', seat: 'left', forMs: 5000, force: true }), {
    ...{ verb: 'attach', device: 'event3', seat: 'left', forMs: 5000, force: true },
  });
  for (const wrong of [
    {},
    { device: 'x' },
    { device: 1, seat: 'left' },
    { device: 'x', seat: 'left', forMs: 0 },
    { device: 'x', seat: 'left', forMs: '1h' },
  ])
    assert.type(parse(wrong), 'string');
  assert.type(parseRequest('{"verb":"detach"}'), 'string');
  assert.equal(parseRequest('{"verb":"metrics"}'), { verb: 'metrics' });
});

test('a request to identify an output says which, and for how long', () => {
  const parse = (value: object) => parseRequest(JSON.stringify({ verb: 'identify', ...value }));
  const good = { verb: 'identify', output: 'card1-DP-1', forMs: 10_000 };
  assert.equal(parse(good), good);
  for (const wrong of [{ output: undefined }, { forMs: undefined }, { forMs: 0 }, { forMs: 3_600_000 }, { output: 1 }])
    assert.type(parse({ ...good, ...wrong }), 'string');
});

test.run();
