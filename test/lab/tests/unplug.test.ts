import * as assert from 'uvu/assert';
import type { Lab } from '../driver/lab.js';
import { preparedLab } from '../driver/prepared.js';
import { inSeat, pause } from '../driver/probes.js';
import { inputs, seatStatus } from '../driver/service.js';
import { test } from '../driver/test.js';

const lab = await preparedLab();

/** Number of a seat's first event node, as `13:66`. */
async function eventNumber(machine: Lab, seat: string): Promise<{ name: string; major: string; minor: string }> {
  let name = '';
  await machine.until(`an event node at ${seat}`, async () => {
    const devices = (await seatStatus(machine, seat))?.devices ?? [];
    name = devices.map(({ node }) => node ?? '').find((node) => node.startsWith('/dev/input/event')) ?? '';
    return name !== '';
  });
  const [major, minor] = (await machine.sh(`stat -c '%Hr %Lr' ${name}`)).split(' ');
  return { name, major: major ?? '', minor: minor ?? '' };
}

test('unplugged: gone from xinput; node, record and tags are gone', async () => {
  await lab.plug({ seat: 'left', driver: 'usb-kbd', id: 'k1' });
  await inputs(lab, 'left', 1);
  const { name, major, minor } = await eventNumber(lab, 'left');
  await lab.inContainer('left', ['test', '-e', `/run/udev/data/c${major}:${minor}`]);
  await lab.unplug('k1');
  await inputs(lab, 'left', 0);
  for (const path of [name, `/run/udev/data/c${major}:${minor}`, `/run/udev/tags/seat/c${major}:${minor}`]) {
    const { code } = await lab.inContainer('left', ['test', '-e', path], { allowFailure: true });
    assert.is(code, 1, `${path} is still there`);
  }
});

for (const agent of ['alive', 'dead'] as const) {
  test(`the minor is reused at the other seat: the first seat's root never gets in, agent ${agent}`, async () => {
    await lab.sh('systemctl start hotseat', { timeoutMs: 60_000 });
    await lab.plug({ seat: 'left', driver: 'usb-kbd', id: `l-${agent}` });
    await inputs(lab, 'left', 1);
    const { major, minor } = await eventNumber(lab, 'left');
    await lab.sh(
      "lxc-attach -n left -- sh -c 'cat > /usr/bin/bpftool; chmod 755 /usr/bin/bpftool' < $(command -v bpftool)",
    );
    // Making the node is refused as soon as the device is gone; a cunning root made it while it could.
    await lab.inContainer('left', ['sh', '-c', `rm -f /root/stolen; mknod /root/stolen c ${major} ${minor}`]);
    if (agent === 'dead') await lab.sh('systemctl kill -s KILL hotseat; systemctl stop hotseat', { timeoutMs: 60_000 });
    await lab.unplug(`l-${agent}`);
    // The hub takes its time to report it: until then the keyboard is there, and it is left's.
    await lab.until(
      'the kernel to notice',
      async () => (await lab.sh(`ls /sys/dev/char/${major}:${minor} || true`)) === '',
    );
    await lab.inContainer('left', ['touch', '/root/go']);
    const intruder = await inSeat(lab, 'left', 'intruder', major, minor, '/root/go');
    await lab.plug({ seat: 'right', driver: 'usb-kbd', id: `r-${agent}` });
    await lab.until(
      'the minor to be reused',
      async () => (await lab.sh(`ls /sys/dev/char/${major}:${minor} || true`)) !== '',
    );
    await pause(2000);
    await lab.unplug(`r-${agent}`);
    await lab.plug({ seat: 'right', driver: 'usb-kbd', id: `r2-${agent}` });
    await pause(2000);
    await lab.inContainer('left', ['rm', '/root/go']);
    const { stdout } = await intruder.done;
    console.log(stdout.trim().replace('\n', ', '));
    assert.match(stdout, /tries [1-9]\d* opened 0 /);
    await lab.unplug(`r2-${agent}`);
  });
}

test('the intruder would have got in without us: it does on the device that is its own', async () => {
  await lab.sh('systemctl start hotseat', { timeoutMs: 60_000 });
  // A device that was unplugged while no agent ran is still an input to Xorg until the agent has said that it went.
  await inputs(lab, 'left', 0);
  await lab.plug({ seat: 'left', driver: 'usb-kbd', id: 'own' });
  await inputs(lab, 'left', 1);
  const { major, minor } = await eventNumber(lab, 'left');
  await lab.inContainer('left', ['sh', '-c', 'rm -f /root/stolen; touch /root/go']);
  const intruder = await inSeat(lab, 'left', 'intruder', major, minor, '/root/go');
  await pause(500);
  await lab.inContainer('left', ['rm', '/root/go']);
  assert.not.match((await intruder.done).stdout, /opened 0 /);
});

test.after(() => lab.stop());
test.run();
