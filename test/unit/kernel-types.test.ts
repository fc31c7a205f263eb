import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { KernelTypes } from '../../agent/kernel/btf.js';
import { keptTypes } from '../../agent/kernel/vmlinux.js';

const directory = mkdtempSync(join(tmpdir(), 'hotseat-kernel-types-'));
const file = join(directory, 'types.json');
const types: KernelTypes = { structures: { device: [{ devt: 8 }, { devt: 16 }] }, functions: { bpf_iter_task: 7 } };

let looked = 0;
const found = (kernel?: string) =>
  keptTypes(
    file,
    () => {
      looked += 1;
      return types;
    },
    kernel,
  );

test('the kernel’s types are looked for once in a boot', () => {
  assert.equal([found(), found(), found()], [types, types, types]);
  assert.is(looked, 1);
  assert.is(statSync(file).mode & 0o777, 0o600);
});

test('those of another kernel count for nothing', () => {
  assert.equal(found('7.0.0 #1'), types);
  assert.is(looked, 2);
  assert.equal(found('7.0.0 #1'), types);
  assert.is(looked, 2);
  found();
  looked = 0;
});

const whole = () => JSON.parse(readFileSync(file, 'utf8')) as { key: string; types: object };
for (const [what, spoilt] of [
  ['is empty', () => ''],
  ['ends in the middle', () => readFileSync(file, 'utf8').slice(0, 100)],
  ['is a list', () => '[]'],
  ['has no types', () => JSON.stringify({ key: whole().key })],
  [
    'has an offset that is a word',
    () => JSON.stringify({ ...whole(), types: { ...types, functions: { device: 'eight' } } }),
  ],
  [
    'has one layout in the place of several',
    () => JSON.stringify({ ...whole(), types: { ...types, structures: { device: { devt: 8 } } } }),
  ],
] as const) {
  test(`a file that ${what} is written again`, () => {
    looked = 0;
    writeFileSync(file, spoilt());
    assert.equal([found(), found()], [types, types]);
    assert.is(looked, 1);
  });
}

test('where nothing can be kept, each look is one', () => {
  looked = 0;
  const nowhere = join(directory, 'none/types.json');
  for (let time = 1; time <= 2; time++) keptTypes(nowhere, () => ({ ...types, functions: { looked: ++looked } }));
  assert.is(looked, 2);
});

test.after(() => {
  rmSync(directory, { recursive: true });
});
test.run();
