import { basename } from 'node:path';
import * as assert from 'uvu/assert';
import { EngineSeats } from '../driver/engine-seats.js';
import { script } from '../driver/engine-variants.js';
import { test } from '../driver/test.js';
import { attachedAgain } from './attached-again.js';
import { engineSuite, type Suite } from './engine-suite.js';
import { framesFilter } from './frames-filter.js';

// An announcement into a network namespace that is the host's would be heard by the host's own listeners.
function hostNetwork({ lab, variant }: Suite): void {
  const title = 'podman, host network';
  test(`${title}: it has its device, the host is not told of it by us, and status says why`, async () => {
    const start = variant.start.replace('--network none', '--network host');
    const engine = new EngineSeats(lab, { ...variant, title, start });
    await engine.rule();
    await script(lab, engine.name('left'), variant.prepare);
    await engine.start('left');
    await lab.until('the reason', async () =>
      /shares the host's network/.test((await engine.seat('left'))?.problem ?? ''),
    );
    const monitor = lab.start(['udevadm', 'monitor', '--udev']);
    await lab.until('udevadm to listen', async () => monitor.stdout.includes('UDEV - '), 30_000);
    const plugged = async (id: string, known: readonly string[]): Promise<string> => {
      await lab.plug({ seat: 'left', driver: 'usb-kbd', id });
      const node = await engine.newNode('left', 'input', known, 'bound');
      await lab.until('the node', async () => (await engine.inside('left', `test -e ${node}`)) !== undefined);
      await engine.heard(monitor, 'add', node);
      return node;
    };
    const node = await plugged('shared', await engine.nodes('left', 'input', 'bound'));
    await engine.has('left', node);
    // Messages keep their order: a second one about the first keyboard would have come before the next one's.
    await plugged('next', await engine.nodes('left', 'input', 'bound'));
    const added = monitor.stdout
      .split('\n')
      .filter((line) => line.includes(' add ') && line.includes(`/${basename(node)} `));
    assert.is(added.length, 1, 'heard once, from udevd');
    await monitor.kill();
    await lab.unplug('shared', 'next');
    await engine.stop('left');
  });
}

await engineSuite('podman', {
  running: attachedAgain,
  stopped: (suite) => {
    hostNetwork(suite);
    framesFilter(suite);
  },
});
