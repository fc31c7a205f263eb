import { join } from 'node:path';
import * as assert from 'uvu/assert';
import type { DeviceInfo, Explanation } from '../../../agent/control/messages.js';
import { ownerOf, ownerText } from '../../../agent/core/changes.js';
import { decider } from '../../../agent/core/decide.js';
import { formatDiagnostic } from '../../../agent/policy/diagnostics.js';
import { type Fixture, formatFixture, parseFixture } from '../../../agent/policy/fixture.js';
import { loadDirectory } from '../../../agent/policy/load.js';
import { checkout } from '../driver/paths.js';
import { preparedLab } from '../driver/prepared.js';
import { ask, HOTSEAT_CLI, inputs, policyDirectory, status, xinput } from '../driver/service.js';
import { test } from '../driver/test.js';

const lab = await preparedLab();

/** A verb's output and exit status, as an admin would get them. */
const hotseat = (...words: string[]) =>
  lab.guest([...HOTSEAT_CLI, ...words], { allowFailure: true, timeoutMs: 60_000 });
const json = async <T>(...words: string[]): Promise<T> => JSON.parse((await hotseat(...words, '--json')).stdout) as T;

/** Where the lab's devices are, and so whose: the seats' hubs and screens. */
const owners: readonly [RegExp, string][] = [
  [/^pci-0000:00:05\.0-usb-0:1[.:]/, 'left'],
  [/^pci-0000:00:05\.0-usb-0:2[.:]/, 'right'],
  [/^pci-0000:00:03\.0$/, 'left'],
  [/^pci-0000:00:04\.0$/, 'right'],
];
const ownerAt = (port: string): string => owners.find(([pattern]) => pattern.test(port))?.[1] ?? 'host';

test('devices tells of every device what it is and whose', async () => {
  await lab.plug({ seat: 'left', driver: 'usb-kbd', id: 'kbd' });
  await lab.plug({ seat: 'right', driver: 'usb-mouse', id: 'mouse' });
  await lab.plug({ seat: 'host', driver: 'usb-kbd', id: 'admins', display: 'host' });
  await inputs(lab, 'left', 1);
  await inputs(lab, 'right', 1);
  await lab.settled();
  const devices = await json<DeviceInfo[]>('devices');
  const found = (name: RegExp) => devices.filter((device) => name.test(device.name)).map(({ owner }) => owner);
  assert.equal(found(/USB Keyboard/).sort(), ['host', 'left']);
  assert.equal(found(/USB Mouse/), ['right']);
  const cards = devices.filter(({ kinds }) => kinds.includes('display'));
  assert.is(cards.length, 3);
  const outputs = cards.flatMap((card) => card.outputs ?? []);
  assert.is(outputs.length, 3);
  for (const { connector } of outputs) assert.match(connector, /^Virtual-\d+$/);
  assert.match(outputs.find(({ status }) => status === 'connected')?.monitor ?? '', /QEMU Monitor/);
  for (const { port, owner, name } of devices) assert.is(owner, ownerAt(port), `${name} at ${port}`);
  const { stdout, code } = await hotseat('devices');
  console.log(stdout.trim());
  assert.is(code, 0);
  const hub = 'pci-0000:00:05\\.0-usb-0:1';
  assert.match(stdout, new RegExp(`^${hub}  .* \\(0409:55aa\\), hub with 8 ports$`, 'm'));
  assert.match(stdout, new RegExp(`^  ${hub}\\.1  .*\\n    /dev/input/event\\d+  .* keyboard: left \\(left.yaml`, 'm'));
});

test('explain names the rule that won for every device, and what failed first in each other', async () => {
  const devices = (await ask(lab, { verb: 'devices' })) as DeviceInfo[];
  for (const { device, owner, rules } of devices) {
    const answer = (await ask(lab, { verb: 'explain', device })) as Explanation;
    assert.is(answer.trace.length, 4, 'two rules of two seats');
    const winners = answer.trace.filter(({ failed }) => failed === undefined);
    assert.equal(
      winners.map(({ place }) => place),
      rules,
    );
    assert.equal([...new Set(winners.map(({ seat }) => seat))], owner === 'host' ? [] : [owner]);
  }
  for (const wanted of ['left', 'host']) {
    const { device, owner } = devices.find((info) => info.owner === wanted && info.kinds.includes('keyboard')) ?? {};
    const { code, stdout } = await hotseat('explain', device ?? '', '--json');
    assert.is(code, owner === 'host' ? 1 : 0);
    assert.equal(JSON.parse(stdout), await ask(lab, { verb: 'explain', device: device ?? '' }));
  }
});

test('record makes a file of every device, from which the policy comes to the verdict of the agent', async () => {
  await lab.plug({ seat: 'left', driver: 'usb-tablet', id: 'tablet' });
  await lab.plug({ seat: 'left', driver: 'usb-audio', id: 'audio' });
  await lab.settled();
  const loaded = loadDirectory(join(checkout, 'policies'));
  assert.ok(loaded.ok);
  const decide = decider(loaded.policy);
  const devices = (await ask(lab, { verb: 'devices' })) as DeviceInfo[];
  const recorded = async (device: string) =>
    formatFixture((await ask(lab, { verb: 'record', device, unmask: false })) as Fixture);
  for (const { device, owner, name } of devices) {
    const read = parseFixture(`${name}.yaml`, await recorded(device));
    if ('diagnostics' in read) throw new Error(read.diagnostics.map(formatDiagnostic).join('\n'));
    assert.is(read.unit.id, device);
    assert.is(ownerText(ownerOf(decide(read.unit))), owner, name);
  }
  const keyboard = devices.find(({ kinds, owner }) => kinds.includes('keyboard') && owner === 'left')?.device ?? '';
  const { stdout, stderr, code } = await hotseat('record', keyboard);
  assert.is(code, 0, stderr);
  assert.is(stdout, await recorded(keyboard));
  await lab.unplug('tablet', 'audio');
  await inputs(lab, 'left', 1);
});

test('explain of what is not there says how to find what is', async () => {
  const { code, stderr } = await hotseat('explain', '/dev/input/event999');
  assert.is(code, 2);
  assert.match(stderr, /no device "\/dev\/input\/event999": hotseat devices lists them/);
});

test('seats has a line for each, and plan has nothing to change', async () => {
  const { stdout } = await hotseat('seats');
  assert.match(stdout, /^left +lxc left, running, devices: \d+\nright +lxc right, running, devices: \d+$/m);
  const plan = await hotseat('plan');
  assert.is(plan.code, 0);
  assert.match(plan.stdout, /nothing changes hands/);
});

test('a git repository is the policy: what is committed counts, and a new commit is taken without being told', async () => {
  const git = 'git -C /srv/policy -c user.name=admin -c user.email=admin@example.org';
  const head = () => lab.sh('git -C /srv/policy rev-parse main');
  const run = '/usr/bin/node --enable-source-maps /opt/hotseat/dist/hotseat/main.js run';
  await lab.sh(`git init -q -b main /srv/policy && cp ${policyDirectory}/*.yaml /srv/policy
    ${git} add . && ${git} commit -qm first
    mkdir -p /run/systemd/system/hotseat.service.d
    printf '[Service]\\nExecStart=\\nExecStart=${run} --policies /srv/policy --ref refs/heads/main\\n' \\
      > /run/systemd/system/hotseat.service.d/git.conf
    systemctl daemon-reload`);
  await lab.guest(['systemctl', 'restart', 'hotseat'], { timeoutMs: 100_000 });
  assert.is((await status(lab)).revision, await head());
  assert.is((await xinput(lab, 'left')).length, 1);

  await lab.sh(`printf '\\n  - nonsense\\n' >> /srv/policy/left.yaml`);
  assert.is((await hotseat('reload')).code, 0, 'the work tree is not read');
  assert.is((await status(lab)).revision, await head());

  const before = await head();
  await lab.sh(`${git} checkout -q left.yaml && echo '# newer' >> /srv/policy/right.yaml && ${git} commit -qam second`);
  assert.is.not(await head(), before);
  await lab.until('the new commit', async () => (await status(lab)).revision === (await head()), 60_000);
});

test('a repository that has gone: the agent starts with the policy that was good last, and says what is wrong', async () => {
  const { revision } = await status(lab);
  await lab.sh('mv /srv/policy /srv/gone');
  await lab.guest(['systemctl', 'restart', 'hotseat'], { timeoutMs: 100_000 });
  const after = await status(lab);
  assert.is(after.revision, revision);
  assert.match(after.policyErrors.join(), /srv\/policy/);
  assert.is((await xinput(lab, 'left')).length, 1);
});

test.after(() => lab.stop());
test.run();
