// Whose processes hold up a device that leaves, when they have more descriptors than are looked at.

import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { Search, Unseen } from '../../agent/kernel/holders.js';
import { doubts } from '../../agent/seat/revoke.js';

const root = '/sys/fs/cgroup';
const loser = { cgroup: `${root}/lxc.payload.left`, users: [], keepers: [] };
const over = (one: Omit<Unseen, 'why' | 'pid' | 'command'>, why: Unseen['why'] = 'too many'): Search => ({
  ...{ holders: [], inFlight: [], ringsUnseen: undefined, clients: undefined },
  unseen: [{ pid: 7, command: 'x', why, ...one }],
});

test('the root of another, privileged container holds up no seat by that', () => {
  const { left, suspected } = doubts(over({ cgroup: `${root}/lxc.payload.right`, uid: 0, isHosts: false }), loser);
  assert.equal([left, suspected.length], [[], 1]);
});

test('nor does a user by that in whose session root has a process, such as sshd: all is looked at first', () => {
  const session = `${root}/user.slice/user-1000.slice/session-3.scope`;
  const search = over({ cgroup: session, uid: 0, isHosts: true });
  assert.equal([doubts(search, loser).left, doubts(search, loser).suspected.length], [[], 1]);
});

test('who was next when the time was over has done nothing, also in the losing container: all is looked at', () => {
  const theirs = { cgroup: loser.cgroup, uid: 0, isHosts: false };
  const { left, suspected } = doubts(over(theirs, 'late'), loser);
  assert.equal([left, suspected], [[], ['x (pid 7) was not looked at in time']]);
  assert.is(doubts(over(theirs), loser).left.length, 1, 'with too many descriptors of their own it is another thing');
});

test.run();
