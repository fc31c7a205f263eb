// Cards whose connectors somebody keeps locked: the kernel lets no reader of a monitor's name end. A file system that does not answer
// does so here.

import { mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Helpers } from '../../agent/kernel/helpers.js';
import { connectorsOf } from '../../agent/udev/connectors.js';
import { helpersOf } from './children-of.js';
import { type SilentFuse, silentFuse } from './silent-fuse.js';
import { unshared } from './unshared.js';
import { until } from './until.js';

unshared(import.meta.url);

const limit = 500;
const helpers = new Helpers(limit);
const base = `/tmp/hotseat-cards-${process.pid}`;
const roots = { sys: join(base, 'sys'), data: base };
const silent = join(base, 'silent');
let fuse: SilentFuse;

test.before(async () => {
  mkdirSync(silent, { recursive: true });
  fuse = await silentFuse(silent);
  await helpers.start();
});
test.after(() => {
  helpers.close();
  fuse.end();
  rmSync(roots.sys, { recursive: true });
});

test('however many cards are locked, two helpers wait for them, and USB devices are read', async () => {
  const cards = [0, 1, 2, 3].map((number) => {
    const card = `/sys/devices/gpu${number}/drm/card${number}`;
    const connector = join(roots.sys, card.slice('/sys'.length), `card${number}-DP-1`);
    mkdirSync(connector, { recursive: true });
    writeFileSync(join(connector, 'status'), 'connected\n');
    symlinkSync(join(silent, 'page'), join(connector, 'edid'));
    return card;
  });
  for (let round = 0; round < 3; round++) {
    const all = await Promise.all(cards.map((card) => connectorsOf(card, helpers, roots, 4 * limit)));
    for (const listed of all) assert.equal(listed, [{ name: 'DP-1', status: 'connected', monitor: undefined }]);
  }
  await until('no more than two are left, and one that is free', () => helpersOf(process.pid).length <= 3);
  writeFileSync(join(base, 'serial'), 'A1\n');
  const ask = (owner: string, name: string): Promise<(string | undefined)[]> =>
    helpers.ask({
      ...{ do: 'read-files', kind: 'usb', owner, files: [join(base, name)], limit: 100, encoding: 'utf8' },
    });
  assert.equal(await ask('1-1', 'serial'), ['A1\n']);
  assert.equal(await ask('1-2', 'none'), [undefined]);
});

test.run();
