import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { drmClients } from '../../agent/kernel/drm-clients.js';

/** As Linux 6.12 writes it. */
const heading =
  '             command  tgid dev master a   uid      magic                             name                   id\n';
const xorg =
  '                Xorg   812   1   y    y     0          0                          <unset>                    1\n';
const cards = (lists: Readonly<Record<number, string>>) => (path: string) =>
  lists[Number(/^\/sys\/kernel\/debug\/dri\/(\d+)\/clients$/.exec(path)?.[1])];
const both = [
  { major: 226, minor: 1 },
  { major: 226, minor: 129 },
];

test('nobody has a card open whose list has a heading alone', () => {
  assert.equal(drmClients(both, cards({ 1: heading, 129: heading })), []);
});

test('each process is named once, whatever it is called', () => {
  const strange = '         a b\n1 2 3 n    41 129   n    n  1000          2\n';
  const list = `${heading}${xorg}${xorg}${strange}`;
  const named = drmClients(both, cards({ 1: list, 129: list })) ?? [];
  assert.is(named.length, 2);
  assert.is(named[0], 'Xorg (pid 812)');
  assert.match(named[1] ?? '', /\(pid 41\)$/);
});

test('nobody hides by what he is called: each counts, with the pid that the kernel says', () => {
  const called = (command: string) => `${command.padStart(20)}    41 129   n    n  1000          2\n`;
  // Its kernel allows 15 bytes. This process has nothing open that is not somebody else's.
  for (const command of ['a 999 0 y y 0 0', '9999 0 y y 0 0', '9 0 y y 0 0\n', '\r9 1 y y 0 0', '\r', '\n', '']) {
    const list = heading + called(command);
    const named = drmClients(both, cards({ 1: list, 129: list })) ?? [];
    assert.match(named.join(), /\(pid 41\)/, JSON.stringify(command));
  }
  const own = heading + xorg.replace('  812', String(process.pid).padStart(5));
  assert.equal(drmClients(both, cards({ 1: own, 129: own })), [`Xorg (pid ${process.pid})`]);
});

test('a line that cannot be read is somebody', () => {
  assert.equal(drmClients(both, cards({ 1: `${heading}?\n`, 129: heading })), ['an unknown process']);
});

test('no list, a list too long or without its heading, and what is no card: it is not told', () => {
  assert.is(drmClients(both, cards({ 1: heading })), undefined);
  assert.is(drmClients(both, cards({ 1: heading, 129: '' })), undefined);
  assert.is(drmClients([{ major: 13, minor: 64 }], cards({ 64: heading })), undefined);
  assert.is(drmClients([], cards({})), undefined);
  const tooLong = () => {
    throw new Error('longer than 262144 bytes');
  };
  assert.is(drmClients(both, tooLong), undefined);
});

test.run();
