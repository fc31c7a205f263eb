import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { preparedLab } from './prepared.js';
import { HOTSEAT_CLI, inputs, policyDirectory, status, xinput } from './service.js';

const lab = await preparedLab();

/** Four mistakes on four lines. */
const broken = `seat: left
container: { engine: lxcc, name: left }
devices:
  - label: the left hub
    match: { prot: "pci-0000:00:05.0-usb-0:1" }
  - label: bad kind
    match: { kind: keybord }
  - label: not a boolean
    match: { subsystem: sound }
    share: maybe
`;

test('four mistakes in a seat file: all four are reported with place and remedy, and nothing changes', async () => {
  await lab.plug({ seat: 'left', driver: 'usb-kbd', id: 'kbd' });
  await inputs(lab, 'left', 1);
  await lab.putFile(`${policyDirectory}/left.yaml`, broken);
  const { code, stderr } = await lab.guest([...HOTSEAT_CLI, 'reload'], { allowFailure: true, timeoutMs: 60_000 });
  console.log(stderr.trim());
  assert.is.not(code, 0);
  for (const line of [2, 5, 7, 10]) assert.match(stderr, new RegExp(`left\\.yaml:${line}:\\d+`));
  assert.is((await xinput(lab, 'left')).length, 1);
  await lab.type('left', 'still here\n');
  await lab.until('the sentence', async () => (await lab.typed('left')).includes('still here'));
});

test('status tells of them and of the revision that stays', async () => {
  const { policyErrors, seats } = await status(lab);
  assert.is(policyErrors.length, 4);
  assert.ok(seats.some(({ seat, devices }) => seat === 'left' && devices.length > 0));
});

test.after(() => lab.stop());
test.run();
