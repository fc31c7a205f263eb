import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type Accounts, accessOf, type Unknown } from '../../agent/core/access.js';
import type { Rule } from '../../agent/core/policy.js';
import { reader } from '../../agent/seat/accounts.js';

/** An unprivileged container: its ids begin at 100000 on the host, and there are 65536 of them. */
const mapped = (id: number) => (id < 65536 ? 100_000 + id : undefined);
const accounts: Accounts = {
  user: reader('root:x:0:0:root:/root:/bin/sh\nanna:x:1000:1000::/home/anna:\n', mapped),
  group: reader('root:x:0:\ninput:x:104:anna\naudio:x:29:pulse\nvideo:x:44:\nbig:x:70000:\naudio:x:30:\n', mapped),
};

const rule = (access: Rule['access']): Rule => ({
  ...{ label: 'x', place: { file: 'x', line: 1, column: 1 }, conditions: [], share: false },
  ...{ access, hidraw: false, byName: false, whole: false, revoke: 'auto' },
});

function access(given: Rule['access'], subsystem: 'input' | 'sound' | 'drm', sysname: string) {
  const unknown: Unknown[] = [];
  return { ...accessOf(rule(given), subsystem, sysname, accounts, (name) => unknown.push(name)), unknown };
}

test('nodes belong to the groups of a desktop, as the container itself numbers them', () => {
  assert.equal(access({}, 'input', 'event3'), { uid: 100_000, gid: 100_104, mode: 0o660, unknown: [] });
  assert.is(access({}, 'sound', 'controlC0').gid, 100_029, 'the first of two entries counts');
  assert.is(access({}, 'drm', 'card0').gid, 100_044);
});

test('a usual group that the container does not have is root without a word', () => {
  assert.equal(access({}, 'drm', 'renderD128'), { uid: 100_000, gid: 100_000, mode: 0o660, unknown: [] });
});

test('policy names owner, group and mode', () => {
  const given = { owner: 'anna', group: '29', mode: 0o600 };
  assert.equal(access(given, 'input', 'event3'), { uid: 101_000, gid: 100_029, mode: 0o600, unknown: [] });
});

test('a name of policy’s that the container does not have, or does not map, is root’s and said', () => {
  assert.equal(access({ owner: 'bob', group: 'big' }, 'sound', 'pcmC0D0p'), {
    ...{ uid: 100_000, gid: 100_000, mode: 0o660 },
    unknown: [
      { what: 'user', name: 'bob' },
      { what: 'group', name: 'big' },
    ],
  });
});

test('hostile lists of accounts name nobody', () => {
  const read = reader('input:x:-1:\naudio:x:0x10:\nvideo\n::44:\nrender:x:99999999999:\n', (id) => id);
  for (const name of ['input', 'audio', 'video', 'render', 'toString']) assert.is(read(name), undefined);
});

test.run();
