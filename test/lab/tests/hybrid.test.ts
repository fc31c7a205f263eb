import * as assert from 'uvu/assert';
import type { Process } from '../driver/channel.js';
import { EngineSeats } from '../driver/engine-seats.js';
import { script, variants } from '../driver/engine-variants.js';
import { bootLab, type Seat, seats } from '../driver/lab.js';
import { putEngineFiles } from '../driver/prepared.js';
import { HOTSEAT_CLI, startAgent } from '../driver/service.js';
import { test } from '../driver/test.js';

// A PC whose systemd keeps cgroups in both ways at once (hybrid): engines write their device rules to v1's controller,
// and containers have groups without any rules in the unified hierarchy, where our guard and grants are.
// systemd 257 must be forced to (src/core/main.c, SYSTEMD_CGROUP_ENABLE_LEGACY_FORCE).
const lab = await bootLab(['SYSTEMD_CGROUP_ENABLE_LEGACY_FORCE=1', 'systemd.unified_cgroup_hierarchy=0']);

test('the PC is hybrid: the devices controller is v1, and the unified hierarchy is beside it', async () => {
  const kinds = 'stat -f -c %T /sys/fs/cgroup /sys/fs/cgroup/devices /sys/fs/cgroup/unified';
  assert.equal((await lab.sh(kinds)).split('\n'), ['tmpfs', 'cgroupfs', 'cgroup2fs']);
});

test('the agent runs there, and doctor says what it found', async () => {
  await lab.deploy();
  await putEngineFiles(lab);
  await startAgent(lab);
  const { stdout } = await lab.guest([...HOTSEAT_CLI, 'doctor'], { allowFailure: true, timeoutMs: 120_000 });
  assert.match(stdout, /cgroups are hybrid: grants hang on \/sys\/fs\/cgroup\/unified/);
  assert.match(stdout, /shares: weights are not available: cpu is a controller of cgroups v1 here/);
});

/** HOTSEAT_ENGINES, whole titles separated by bars, runs others: nspawn, private users passes as well. */
const chosen = (process.env['HOTSEAT_ENGINES'] ?? 'lxc').split('|');

for (const variant of variants.filter(({ title }) => chosen.includes(title))) {
  const engine = new EngineSeats(lab, variant);
  let monitor: Process;
  let keyboard = '';
  let second = '';
  let secondNumber = '';
  const group = async (seat: Seat): Promise<string> => {
    const pid = await script(lab, engine.name(seat), variant.pid);
    return `/sys/fs/cgroup/devices${await lab.sh(`sed -n 's/^[0-9]*:devices://p' /proc/${pid}/cgroup`)}`;
  };
  /** The input devices that a container may open, as the rules of v1 have it. */
  const inputRules = async (seat: Seat): Promise<string[]> => {
    const rules = (await lab.sh(`cat ${await group(seat)}/devices.list`)).split('\n');
    assert.ok(rules.length > 3 && !rules.includes('a *:* rwm'), 'its engine denies nothing: this shows nothing');
    return rules.filter((rule) => rule.startsWith('c 13:')).sort();
  };
  const rule = (number: string): string => `c ${number} rwm`;

  test(`${variant.title}: cold plug: exactly what is granted is opened in its engine's rules, and opens`, async () => {
    await engine.rule();
    await lab.plug({ seat: 'left', driver: 'usb-kbd', id: 'keyboard' });
    for (const seat of seats) await script(lab, engine.name(seat), variant.prepare);
    for (const seat of seats) await engine.start(seat);
    keyboard = await engine.newNode('left', 'input');
    await engine.has('left', keyboard);
    assert.equal(await inputRules('left'), [rule(await engine.numberOf(keyboard))]);
    assert.equal(await inputRules('right'), []);
  });

  test(`${variant.title}: isolation: the neighbour's root neither makes the node nor opens it`, async () => {
    const theft = await engine.stealing('right', await engine.numberOf(keyboard));
    assert.equal(theft, { made: false, opened: false, control: true });
  });

  test(`${variant.title}: plug: it is opened and told of, and the next look finds a rule that the engine took back`, async () => {
    monitor = await engine.listen('left');
    const lost = rule(await engine.numberOf(keyboard));
    // An agent that looks just now would give it again before it is seen that it is lost.
    await lab.sh('systemctl kill --signal=STOP hotseat');
    await lab.sh(`echo '${lost}' > ${await group('left')}/devices.deny`);
    assert.is(await engine.inside('left', `exec 3<${keyboard}`), undefined, 'v1 has no say: this shows nothing');
    await lab.sh('systemctl kill --signal=CONT hotseat');
    await lab.plug({ seat: 'left', driver: 'usb-kbd', id: 'second' });
    second = await engine.newNode('left', 'input', [keyboard]);
    secondNumber = await engine.numberOf(second);
    await engine.heard(monitor, 'add', second);
    await engine.has('left', second);
    await lab.until('the rule', async () => (await inputRules('left')).includes(lost));
    await engine.has('left', keyboard);
    assert.equal(await inputRules('left'), [lost, rule(secondNumber)].sort());
  });

  test(`${variant.title}: unplug: the minor is denied, and whoever gets it next is not opened by it`, async () => {
    await lab.unplug('second');
    await engine.heard(monitor, 'remove', second);
    await monitor.kill();
    assert.equal(await inputRules('left'), [rule(await engine.numberOf(keyboard))]);
    await lab.plug({ seat: 'right', driver: 'usb-kbd', id: 'reused' });
    const reused = await engine.newNode('right', 'input');
    assert.is(await engine.numberOf(reused), secondNumber, 'the minor was not reused: this shows nothing');
    await engine.has('right', reused);
    assert.equal(await engine.stealing('left', secondNumber), { made: false, opened: false, control: true });
  });

  test(`${variant.title}: agent restart: what went meanwhile is denied, the rest opens all the time`, async () => {
    await lab.sh('systemctl stop hotseat', { timeoutMs: 90_000 });
    await lab.unplug('reused');
    await lab.until('the device to go', () => lab.sh(`! test -e ${second} && echo gone || true`).then(Boolean));
    assert.equal(await inputRules('right'), [rule(secondNumber)], 'nobody was there to deny it');
    assert.is.not(await engine.inside('left', `exec 3<${keyboard}`), undefined, 'a stopped agent took it away');
    await lab.sh('systemctl start hotseat', { timeoutMs: 90_000 });
    await lab.until('the seat', async () => (await engine.seat('right'))?.state === 'running');
    assert.equal(await inputRules('right'), []);
    assert.equal(await inputRules('left'), [rule(await engine.numberOf(keyboard))]);
    await engine.has('left', keyboard);
  });

  test(`${variant.title}: whatever the rules of v1 allow, the guard forbids what is not granted`, async () => {
    await lab.sh(`echo a > ${await group('right')}/devices.allow`);
    const theft = await engine.stealing('right', await engine.numberOf(keyboard));
    assert.equal(theft, { made: false, opened: false, control: true });
  });

  test(`${variant.title}: clearing up`, async () => {
    await lab.unplug('keyboard');
    for (const seat of seats) await engine.stop(seat);
  });
}

test.after(() => lab.stop());
test.run();
