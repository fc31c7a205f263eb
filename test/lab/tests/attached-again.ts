import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import { guestFiles } from '../driver/paths.js';
import { test } from '../driver/test.js';
import type { Suite } from './engine-suite.js';

/** The slice of machines, in which nothing of the host is. */
const machines = 'machine.slice';

// systemd attaches the device programs of its units again then, and they know nothing of what a seat was granted.
export function attachedAgain({ lab, engine, variant, first }: Suite): void {
  const { title } = variant;

  test(`${title}: systemd attaches its device programs again, and meanwhile no open is refused`, async () => {
    const nodes = [...first.values()];
    const path = await lab.sh(`sed -n 's/^0:://p' /proc/${engine.init('left')}/cgroup`);
    const unit = path.split('/').find((name) => /\.(service|scope)$/.test(name)) ?? '';
    const programs = () =>
      lab.sh(`bpftool cgroup tree /sys/fs/cgroup${path.slice(0, path.indexOf(unit))}${unit} || true`);
    const stdin = await readFile(join(guestFiles, 'probes/reopening.py'));
    await lab.guest(engine.argv('left', 'sh', '-c', 'cat > /tmp/reopening.py'), { stdin });
    const opening = lab.start(engine.argv('left', 'python3', '/tmp/reopening.py', ...nodes));
    await lab.until('it to be at it', async () => opening.stdout.includes('at it'));
    let answers = 0;
    const counts = async (): Promise<{ opened: number; refused: number }> => {
      const all = () => [...opening.stdout.matchAll(/^since then (\d+) (\d+)$/gm)];
      answers += 1;
      opening.write('\n');
      await lab.until('its counts', async () => all().length >= answers);
      const [, opened, refused] = all().at(-1) ?? [];
      return { opened: Number(opened), refused: Number(refused) };
    };
    const steps = [
      `systemctl set-property --runtime ${unit} CPUWeight=99`,
      ...(path.startsWith(`/${machines}/`)
        ? [`systemctl set-property --runtime ${machines} DeviceAllow=/dev/null`]
        : []),
      ...(variant.engine === 'docker' ? [`docker update --cpu-shares 512 ${engine.name('left')}`] : []),
      'systemctl daemon-reload',
      'systemctl daemon-reexec',
      `systemctl set-property --runtime ${unit} CPUWeight=100`,
    ];
    const refusals: string[] = [];
    for (const step of steps) {
      await counts();
      await lab.sh(step, { timeoutMs: 90_000 });
      const { opened, refused } = await counts();
      console.log(`${title}: ${step}: ${opened} times opened, ${refused} times refused`);
      assert.ok(opened > 0);
      if (refused > 0) refusals.push(step);
    }
    opening.end();
    await opening.done;
    assert.equal(refusals, [], await programs());
    for (const node of nodes) {
      const theft = await engine.stealing('right', await engine.numberOf(node));
      assert.equal(theft, { made: false, opened: false, control: true });
    }
  });
}
