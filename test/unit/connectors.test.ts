import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { deviceTree } from '../../agent/cli/device-tree.js';
import { render } from '../../agent/cli/line.js';
import { monitorName } from '../../agent/core/edid.js';
import { Helpers } from '../../agent/kernel/helpers.js';
import { connectorsOf } from '../../agent/udev/connectors.js';

/** A base block as VESA's E-EDID 1.4 has it: maker `RHT`, product 0x1234, and descriptors in the order given. */
function edid(...descriptors: readonly (readonly [tag: number, text: string])[]): Buffer {
  const block = Buffer.alloc(128);
  Buffer.from('00ffffffffffff004914341200000000', 'hex').copy(block);
  for (const [index, [tag, text]] of descriptors.entries()) {
    const at = 54 + 18 * index;
    block[at + 3] = tag;
    block.write(text, at + 5, 13, 'latin1');
  }
  return block;
}

test('a monitor is called as it calls itself, with its serial number', () => {
  assert.is(monitorName(edid([0xfc, 'QEMU Monitor\n'])), 'QEMU Monitor');
  assert.is(monitorName(edid([0xff, 'F525M245\n    '], [0xfc, 'DELL U2415\n  '])), 'DELL U2415 F525M245');
  assert.is(monitorName(edid([0xfc, 'Thirteen char'])), 'Thirteen char');
});

test('one without a name is called by its maker and its product code', () => {
  assert.is(monitorName(edid()), 'RHT 1234');
  assert.is(monitorName(edid([0xfc, '\n'], [0xff, '7\n'])), 'RHT 1234 7');
});

test('what is no EDID is no name', () => {
  assert.is(monitorName(Buffer.alloc(0)), undefined);
  assert.is(monitorName(Buffer.alloc(128)), undefined);
  assert.is(monitorName(edid([0xfc, 'Short\n']).subarray(0, 127)), undefined);
});

test('a monitor chooses its name, and still none that a terminal would obey', () => {
  assert.is(monitorName(edid([0xfc, '\x1b[2J\x07Evil\n'])), '[2JEvil');
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 120, maxLength: 120 }), (rest) => {
      const name = monitorName(Buffer.concat([edid().subarray(0, 8), rest])) ?? '';
      assert.match(name, /^[\x20-\x7e]+$/);
    }),
  );
});

/** A card in a sysfs of our own, with the wanted files of each connector. */
function sysfs(connectors: Readonly<Record<string, { status?: string; edid?: Buffer }>>): {
  base: string;
  roots: { sys: string; data: string };
} {
  const base = mkdtempSync(join(tmpdir(), 'hotseat-drm-'));
  for (const [name, files] of Object.entries(connectors)) {
    const directory = join(base, 'devices/pci0000:00/0000:00:02.0/drm/card0', name);
    mkdirSync(directory, { recursive: true });
    for (const [file, text] of Object.entries(files)) writeFileSync(join(directory, file), text);
  }
  return { base, roots: { sys: base, data: base } };
}
const helpers = new Helpers();
test.after(() => helpers.close());
const card = '/sys/devices/pci0000:00/0000:00:02.0/drm/card0';

test('a card has the connectors that sysfs shows, and on each the monitor that the kernel knows', async () => {
  const { base, roots } = sysfs({
    'card0-DP-10': { status: 'disconnected\n', edid: Buffer.alloc(0) },
    'card0-DP-2': { status: 'connected\n', edid: edid([0xfc, 'DELL U2415\n']) },
    'card0-HDMI-A-1': { status: 'unknown\n', edid: Buffer.alloc(0) },
    'card0-Writeback-1': { status: 'unknown\n' },
    power: {},
  });
  try {
    assert.equal(await connectorsOf(card, helpers, roots), [
      { name: 'DP-2', status: 'connected', monitor: 'DELL U2415' },
      { name: 'DP-10', status: 'disconnected', monitor: undefined },
      { name: 'HDMI-A-1', status: 'unknown', monitor: undefined },
    ]);
    assert.equal(await connectorsOf(`${card}1`, helpers, roots), []);
  } finally {
    rmSync(base, { recursive: true });
  }
});

test('a card that somebody keeps locked keeps nobody else waiting: its connectors are listed without names', async () => {
  const { base, roots } = sysfs({ 'card0-DP-1': { status: 'connected\n' } });
  const files = join(base, 'devices/pci0000:00/0000:00:02.0/drm/card0/card0-DP-1');
  try {
    // Opening it waits for a writer, as the kernel waits for the lock.
    execFileSync('mkfifo', [join(files, 'edid')]);
    const began = performance.now();
    // Twice as many questions as Node has threads for files.
    const answers = await Promise.all(Array.from({ length: 8 }, () => connectorsOf(card, helpers, roots, 50)));
    for (const listed of answers) {
      assert.equal(listed, [{ name: 'DP-1', status: 'connected', monitor: undefined }]);
    }
    assert.is(await readFile(join(files, 'status'), 'utf8'), 'connected\n');
    assert.ok(performance.now() - began < 2000);
  } finally {
    rmSync(base, { recursive: true });
  }
});

test('a card is listed with its outputs below it', () => {
  const gpu = {
    device: '/sys/devices/pci0000:00/0000:00:02.0/drm',
    ...{
      name: 'card0',
      nodes: ['/dev/dri/card0'],
      port: 'pci-0000:00:02.0',
      kinds: ['display'],
      owner: 'host',
      rules: [],
    },
    outputs: [
      { connector: 'DP-1', status: 'connected', monitor: 'DELL U2415' },
      { connector: 'DP-2', status: 'disconnected' },
      { connector: 'VGA-1', status: 'unknown' },
    ] as const,
  };
  assert.is(
    deviceTree([gpu], [])
      .map((line) => render(line, false))
      .join('\n'),
    `pci-0000:00:02.0
  /dev/dri/card0  card0  display: host
    DP-1  DELL U2415
    DP-2  no monitor
    VGA-1  perhaps a monitor`,
  );
});

test.run();
