import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { isUdevdThere } from '../../agent/udev/presence.js';

const head = 'sk               Eth Pid        Groups   Rmem     Wmem     Dump  Locks    Drops    Inode';
const row = (family: number, groups: string) =>
  `000000001274f224 ${family}  0          ${groups} 0        0        0     2        0        1026    `;

test('udevd is there when somebody takes the kernel’s own messages', () => {
  assert.ok(isUdevdThere([head, row(15, '00000000'), row(15, '00000001')].join('\n')));
  assert.not.ok(isUdevdThere([head, row(15, '00000002')].join('\n')), 'who listens to udevd is not udevd');
  assert.not.ok(isUdevdThere([head, row(0, '00000001')].join('\n')), 'another family');
  assert.not.ok(isUdevdThere(head));
});

test.run();
