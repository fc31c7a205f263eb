// The engines' own filters against the requests that show a neighbour's picture: exactly those, and all forms of their numbers.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { checkout } from './hotseat.js';

const rule = (name: string): string => readFileSync(join(checkout, 'rules', name), 'utf8');

/** GEM_FLINK, GEM_OPEN, MODE_GETFB, MODE_GETFB2: the lowest byte, by which the kernel chooses (drm_ioctl.c, DRM_IOCTL_NR). */
const forbidden = new Set([0x0a, 0x0b, 0xad, 0xce]);
/** Without this bit the kernel reads nothing of what is asked (IOC_IN). */
const isRead = 0x4000_0000;

/** All lowest bytes, read and not, with several sizes, letters and directions, and with the half of the register that nobody reads. */
function* requests(): Generator<bigint> {
  for (const others of [0n, 0x6400n, 0x5400n, 0x8070_6400n, 0x3fff_ff00n, 0xffff_ffff_0000_0000n])
    for (const read of [0n, BigInt(isRead)]) for (let byte = 0n; byte < 256n; byte++) yield others | read | byte;
}

const isForbidden = (request: bigint): boolean =>
  (request & BigInt(isRead)) !== 0n && forbidden.has(Number(request & 0xffn));

const wrong = (isRefused: (request: bigint) => boolean): string[] =>
  [...requests()].filter((one) => isRefused(one) !== isForbidden(one)).map((one) => one.toString(16));

test('the filter for LXC and Incus refuses exactly these', () => {
  const rules = [...rule('lxc-frames.seccomp').matchAll(/^ioctl errno 13 \[1,(\w+),SCMP_CMP_MASKED_EQ,(\w+)\]$/gm)];
  assert.is(rules.length, 4);
  assert.equal(
    wrong((request) => rules.some(([, value = '', mask = '']) => (request & BigInt(mask)) === BigInt(value))),
    [],
  );
});

test('the filter for Podman and Docker allows all but these', () => {
  const rules = JSON.parse(rule('oci-frames.json')) as {
    names: string[];
    action: string;
    args: { index: number; op: string; value: number; valueTwo: number }[];
  }[];
  const masks = rules.flatMap(({ args }) =>
    args.map(({ value, valueTwo }) => [BigInt(value), BigInt(valueTwo)] as const),
  );
  for (const { names, action, args } of rules) {
    assert.equal([names, action, args.length], [['ioctl'], 'SCMP_ACT_ALLOW', 1]);
    assert.equal([args[0]?.index, args[0]?.op], [1, 'SCMP_CMP_MASKED_EQ']);
  }
  assert.equal(
    wrong((request) => !masks.some(([mask = 0n, value]) => (request & mask) === value)),
    [],
  );
});

test.run();
