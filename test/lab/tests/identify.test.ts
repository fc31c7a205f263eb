import * as assert from 'uvu/assert';
import type { Process } from '../driver/channel.js';
import { preparedLab } from '../driver/prepared.js';
import { HOTSEAT_CLI, inputs, policyDirectory, xinput } from '../driver/service.js';
import { test } from '../driver/test.js';

const lab = await preparedLab();
const git = (...words: string[]) => lab.guest(['git', '-C', policyDirectory, ...words]);
const seatFile = (seat: string) => lab.sh(`cat ${policyDirectory}/${seat}.yaml`);

/** `hotseat identify`, once it listens. */
async function identify(...words: string[]): Promise<Process> {
  const running = lab.start([...HOTSEAT_CLI, 'identify', ...words]);
  await lab.until('it to listen', async () => running.stderr.includes('press a key'));
  return running;
}

test.before(async () => {
  await git('init', '-q', '-b', 'main');
  await git('config', 'user.name', 'Admin');
  await git('config', 'user.email', 'admin@example.org');
  await git('add', '-A');
  await git('commit', '-q', '-m', 'first');
  // The host keeps a keyboard, independently of the other one.
  await lab.plug({ seat: 'host', driver: 'usb-kbd', id: 'spare', display: 'left' });
  await lab.plug({ seat: 'host', driver: 'usb-kbd', id: 'hers', serial: 'HERS' });
  await lab.plug({ seat: 'right', driver: 'usb-kbd', id: 'theirs' });
  await inputs(lab, 'right', 1);
  await lab.settled();
});

test('what is typed at another seat is not taken for the thing that is looked for', async () => {
  const running = await identify('left', '--timeout', '5s');
  await lab.type('right', 'hello');
  const { code, stderr } = await running.done;
  assert.is(code, 1);
  assert.match(stderr, /nothing was touched; devices of other seats need --all/);
});

test('a key press: it says what that was and which rules would give it, and writes nothing', async () => {
  const before = await seatFile('left');
  const running = await identify('left', '--timeout', '60s');
  await lab.type('host', 'a');
  const { code, stdout } = await running.done;
  console.log(stdout.trim());
  assert.is(code, 0);
  assert.match(stdout, /^\/dev\/input\/event\d+ {2}QEMU QEMU USB Keyboard {2}keyboard: host$/m);
  assert.match(stdout, /port: pci-0000:00:05\.0-usb-0:3\.\d/);
  assert.match(stdout, /serial: HERS/);
  assert.match(stdout, /--write writes it into left\.yaml/);
  assert.is(await seatFile('left'), before);
  assert.equal(await xinput(lab, 'left'), []);
});

test('on request the rule is written, committed and in force: the keyboard is at the seat', async () => {
  const running = await identify('left', '--by', 'serial', '--write');
  await lab.type('host', 'a');
  const { code, stdout, stderr } = await running.done;
  assert.is(code, 0, stderr);
  assert.match(stdout, /left\.yaml: "the keyboard HERS" is written and committed/);
  await inputs(lab, 'left', 1);
  assert.match((await git('show', 'HEAD:left.yaml')).stdout, /serial: HERS/);
  assert.is((await git('status', '--porcelain')).stdout, '');
});

test('it is at the seat already, and it says so', async () => {
  const running = await identify('left', '--write', '--json');
  // Its screen is still the host's: QEMU gives a keyboard the keys of the display that it was made for.
  await lab.type('host', 'a');
  const { code, stdout } = await running.done;
  assert.is(code, 0);
  assert.is((JSON.parse(stdout) as { device: { owner: string } }).device.owner, 'left');
  assert.is((await git('rev-list', '--count', 'HEAD')).stdout.trim(), '2');
});

test.after(() => lab.stop());
test.run();
