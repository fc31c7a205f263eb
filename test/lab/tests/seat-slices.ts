import * as assert from 'uvu/assert';
import { script } from '../driver/engine-variants.js';
import { ask, HOTSEAT_CLI } from '../driver/service.js';
import { test } from '../driver/test.js';
import type { Suite } from './engine-suite.js';

// LXC is told to start a container below the slice of its seat. Its neighbour stays at the root, where weights divide something else.
export function seatSlices({ lab, engine, variant }: Suite): void {
  const title = `${variant.title}, in the slice of its seat`;
  const slice = 'hotseat.slice/hotseat-left.slice';

  test(`${title}: it is found there, has its shares by systemd, and a daemon-reload does not undo them`, async () => {
    const name = engine.name('left');
    await script(
      lab,
      name,
      `printf '%s\\n' 'lxc.cgroup.dir.monitor = lxc.monitor.${name}' \
        'lxc.cgroup.dir.container = ${slice}/lxc.payload.${name}' >> /var/lib/lxc/${name}/config`,
    );
    await engine.rule(false, { left: '{ cpu: 250, memory: 1G }' });
    for (const seat of ['left', 'right'] as const) await engine.start(seat);
    const amounts = () => lab.sh(`cd /sys/fs/cgroup/${slice} && echo $(cat cpu.weight memory.high)`);
    await lab.until('its shares', async () => (await amounts()) === `250 ${2 ** 30}`);
    assert.is((await engine.seat('left'))?.shares?.group, slice);
    await lab.sh('systemctl daemon-reload', { timeoutMs: 60_000 });
    assert.is(await amounts(), `250 ${2 ** 30}`);
  });

  test(`${title}: doctor says that the weights of the two cannot be compared, why, and what helps`, async () => {
    const { stdout } = await lab.guest([...HOTSEAT_CLI, 'doctor'], { allowFailure: true, timeoutMs: 120_000 });
    const why = 'those of left divide what hotseat.slice gets, those of right what the root gets';
    assert.ok(stdout.includes(`the weights of left and right cannot be compared: ${why}`), stdout);
    assert.match(stdout, /right: lxc\.cgroup\.dir\.container = hotseat\.slice\/hotseat-right\.slice\//);
    const explained = JSON.stringify(await ask(lab, { verb: 'explain-shares', seat: 'left' }));
    assert.match(explained, /not comparable with right/);
    for (const seat of ['left', 'right'] as const) await engine.stop(seat);
  });
}
