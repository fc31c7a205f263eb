import fc from 'fast-check';
import * as assert from 'uvu/assert';
import type { DeviceInfo } from '../../../agent/control/messages.js';
import type { Condition, Policy } from '../../../agent/core/policy.js';
import { compileRules } from '../../../agent/policy/udev-rules.js';
import { anyPolicy } from '../../unit/policy-arbitraries.js';
import { preparedLab } from '../driver/prepared.js';
import { agentLog, ask, HOTSEAT_CLI, inputs, policyDirectory, reload, status, xinput } from '../driver/service.js';
import { test } from '../driver/test.js';

const lab = await preparedLab();
const seatFile = await lab.sh(`cat ${policyDirectory}/left.yaml`);

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

test('SIGHUP loads the mended policy', async () => {
  await lab.putFile(`${policyDirectory}/left.yaml`, `${seatFile}\n`);
  await lab.sh('systemctl reload hotseat');
  await lab.until('the errors to be gone', async () => (await status(lab)).policyErrors.length === 0);
});

test('what two seats want is refused while it is bound; forced, it is bound to neither, and status says whose rules', async () => {
  const wanted = [
    '  - label: the same hub as left',
    '    match: { port: "pci-0000:00:05.0-usb-0:1", subsystem: input }',
    '',
  ].join('\n');
  await lab.sh(`cp ${policyDirectory}/right.yaml /root/right.yaml`);
  await lab.putFile(`${policyDirectory}/right.yaml`, `${await lab.sh('cat /root/right.yaml')}\n${wanted}`);
  const refused = await lab.guest([...HOTSEAT_CLI, 'reload'], { allowFailure: true, timeoutMs: 60_000 });
  assert.is(refused.code, 1);
  assert.match(refused.stderr, /is bound to left and would be in conflict/);
  assert.is((await xinput(lab, 'left')).length, 1);
  await reload(lab, '--force');
  await inputs(lab, 'left', 0);
  const { conflicts } = await status(lab);
  assert.is(conflicts.length, 1);
  assert.match(conflicts[0]?.rules.join(' ') ?? '', /left .*left\.yaml:5.* right .*right\.yaml:\d+/);
  assert.equal(await xinput(lab, 'right'), []);
  await lab.sh(`cp /root/right.yaml ${policyDirectory}/right.yaml && systemctl reload hotseat`);
  await inputs(lab, 'left', 1);
  assert.equal((await status(lab)).conflicts, []);
});

test('the last keyboard of the host is taken by force only', async () => {
  await lab.plug({ seat: 'host', driver: 'usb-kbd', id: 'admins', serial: 'ADMIN1', display: 'host' });
  await lab.until('the agent to know it', async () =>
    ((await ask(lab, { verb: 'devices' })) as DeviceInfo[]).some(
      ({ name, owner }) => name.endsWith('USB Keyboard') && owner === 'host',
    ),
  );
  const rule = ['  - label: the keyboard of the host', '    match: { ID_SERIAL_SHORT: "ADMIN1" }', ''].join('\n');
  await lab.putFile(`${policyDirectory}/left.yaml`, `${seatFile}\n${rule}`);
  const refused = await lab.guest([...HOTSEAT_CLI, 'reload'], { allowFailure: true, timeoutMs: 60_000 });
  assert.is(refused.code, 1);
  assert.match(refused.stderr, /the host would lose its last keyboard/);
  assert.is((await xinput(lab, 'left')).length, 1);
  const { stdout } = await lab.guest([...HOTSEAT_CLI, 'plan'], { allowFailure: true, timeoutMs: 60_000 });
  assert.match(stdout, /QEMU USB Keyboard/);
  await reload(lab, '--force');
  await inputs(lab, 'left', 2);
  await lab.putFile(`${policyDirectory}/left.yaml`, `${seatFile}\n`);
  await reload(lab);
  await inputs(lab, 'left', 1);
});

test('a policy on trial goes by itself, or with the agent, unless it is confirmed; whoever watches is told', async () => {
  const emptied = seatFile.replace(/match: \{ port: [^}]*\}/, 'match: { sysname: nothing }');
  const trial = (time: string) => lab.guest([...HOTSEAT_CLI, 'reload', '--confirm', time], { timeoutMs: 60_000 });
  // The driver's own conversation with the agent is at the socket that everybody has.
  const isHeard = async () => (await lab.sh('ss -xH state connected src /run/hotseat/root/control.sock')) !== '';
  const watching = lab.start([...HOTSEAT_CLI, 'watch', '--json'], { timeoutMs: 600_000 });
  await lab.putFile(`${policyDirectory}/left.yaml`, emptied);
  await lab.until('it to watch', isHeard);
  await trial('20s');
  await inputs(lab, 'left', 0);
  assert.ok(Date.parse((await status(lab)).trialEnds ?? '') > 0);
  await inputs(lab, 'left', 1);
  assert.match((await status(lab)).policyErrors.join(), /was not confirmed in time/);

  await trial('1h');
  await inputs(lab, 'left', 0);
  await lab.sh('systemctl restart hotseat', { timeoutMs: 90_000 });
  await inputs(lab, 'left', 1);
  assert.match((await status(lab)).policyErrors.join(), /nobody confirmed it/);

  await trial('1h');
  await inputs(lab, 'left', 0);
  await lab.guest([...HOTSEAT_CLI, 'confirm'], { timeoutMs: 60_000 });
  await lab.sh('systemctl restart hotseat', { timeoutMs: 90_000 });
  assert.equal((await status(lab)).policyErrors, []);
  assert.equal(await xinput(lab, 'left'), []);
  await lab.putFile(`${policyDirectory}/left.yaml`, `${seatFile}\n`);
  await reload(lab);
  await inputs(lab, 'left', 1);

  // It ended with the agent that it listened to.
  const { code, stdout } = await watching.done;
  assert.is(code, 2);
  const heard = stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as { kind: string; device?: string });
  assert.ok(heard.some(({ kind, device }) => kind === 'unbound' && device?.startsWith('/dev/input/event') === true));
  assert.ok(heard.some(({ kind }) => kind === 'policy'));
  assert.ok(heard.some(({ kind }) => kind === 'refused'));
});

test('what the admin has attached to another seat of the host is not looked at again by every reload', async () => {
  await lab.plug({ seat: 'host', driver: 'usb-kbd', id: 'attached', serial: 'ATTACHED1', display: 'host' });
  const link = () => lab.sh('ls /dev/input/by-id/*ATTACHED1-event-kbd 2> /dev/null || true');
  await lab.until('udev to know it', async () => (await link()) !== '');
  await lab.sh(`event=$(udevadm info -q path -n ${await link()})
    loginctl attach seat-guest /sys$(dirname $event)`);
  await lab.settled();
  await reload(lab);
  await lab.settled();
  const since = (await agentLog(lab)).length;
  await reload(lab);
  const again = (await agentLog(lab)).slice(since);
  assert.ok(again.some(({ msg }) => msg === 'policy loaded'));
  assert.not.ok(again.some(({ msg }) => msg === 'host seats changed'));
  await lab.sh('loginctl flush-devices');
});

test('console: open gives the consoles their keyboards back, and status calls it a leak', async () => {
  assert.equal((await status(lab)).leaks, []);
  await lab.putFile(`${policyDirectory}/host.yaml`, 'console: open\n');
  await reload(lab);
  assert.match((await status(lab)).leaks.join(), /consoles are open/);
  assert.not.match(await lab.sh('kbd_mode -C /dev/tty1'), /disabled|off/i);
  await lab.putFile(`${policyDirectory}/host.yaml`, 'console: mute\n');
  await reload(lab);
  assert.equal((await status(lab)).leaks, []);
  assert.not.match(await lab.sh('kbd_mode -C /dev/tty1'), /unicode/i);
});

test('udevadm verify takes every line that policies of all kinds are compiled to', async () => {
  // Two conditions on one thing may contradict each other (a port is an ID_PATH), and udevadm says so of its line.
  const sane = (policy: Policy): Policy => ({
    ...policy,
    seats: policy.seats.map((seat) => ({
      ...seat,
      rules: seat.rules.filter(
        ({ conditions }) =>
          new Set(conditions.map(looksAt)).size === conditions.length &&
          !conditions.some(({ on }) => on === 'subsystem' || on === 'kind'),
      ),
    })),
  });
  // The same ones each time: a change must not be red for something unrelated.
  const texts = fc.sample(anyPolicy, { numRuns: 200, seed: 1 }).map((policy) => compileRules(sane(policy)));
  await lab.putFile('/root/rules.json', JSON.stringify(texts));
  await lab.sh(`mkdir -p /root/rules
    python3 -c 'import json
for i, text in enumerate(json.load(open("/root/rules.json"))): open(f"/root/rules/{i}.rules", "w").write(text)'
    udevadm verify /root/rules/*.rules /run/udev/rules.d/*.rules`);
});

const looksAt = (condition: Condition): string =>
  condition.on === 'port' ? 'ID_PATH' : 'key' in condition ? condition.key : condition.on;

test.after(() => lab.stop());
test.run();
