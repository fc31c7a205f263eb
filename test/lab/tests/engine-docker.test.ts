import * as assert from 'uvu/assert';
import { script } from '../driver/engine-variants.js';
import { test } from '../driver/test.js';
import { attachedAgain } from './attached-again.js';
import { engineSuite, type Suite } from './engine-suite.js';

// Among an engine's events, this is one that no cgroup tells of.
function renamed({ lab, engine, first }: Suite): void {
  test('docker: a container that is renamed is no longer the seat’s, and is it again', async () => {
    const name = engine.name('left');
    const input = first.get('input') ?? '';
    const reader = lab.start(engine.argv('left', 'cat', input));
    const open = () => engine.inside('left', `ls -l /proc/[0-9]*/fd | grep ${input}$`);
    await lab.until('it to be read', async () => (await open()) !== undefined);
    await script(lab, name, 'docker rename $name other');
    assert.match((await reader.done).stderr, /No such device/);
    await lab.until('the seat to wait', async () => (await engine.seat('left'))?.state === 'waiting', 10_000);
    for (const node of first.values()) {
      assert.is(await engine.inside('left', `exec 3<${node}`), undefined, `${node} still opens`);
    }
    await script(lab, name, 'docker rename other $name');
    await lab.until('the seat to have it', async () => (await engine.seat('left'))?.state === 'running', 10_000);
    for (const [kind, node] of first) {
      assert.is(await engine.newNode('left', kind), node);
      await engine.has('left', node);
    }
  });
}

await engineSuite('docker', {
  running: (suite) => {
    attachedAgain(suite);
    renamed(suite);
  },
});
