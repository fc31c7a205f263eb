import * as assert from 'uvu/assert';
import { test } from '../driver/test.js';
import type { Suite } from './engine-suite.js';

// systemd attaches its own device programs again then, and one of ours was in the place of the former one.
export function forbiddingSlice({ lab, engine, variant, first }: Suite): void {
  test(`${variant.title}: a slice above it that forbids devices, and systemctl daemon-reload, take nothing away for long`, async () => {
    await lab.sh('systemctl set-property --runtime machine.slice DeviceAllow=/dev/null && systemctl daemon-reload');
    await lab.until('all to open again', async () => {
      for (const node of first.values())
        if ((await engine.inside('left', `exec 3<${node}`)) === undefined) return false;
      return true;
    });
    for (const node of first.values()) {
      const theft = await engine.stealing('right', await engine.numberOf(node));
      assert.equal(theft, { made: false, opened: false, control: true });
    }
  });
}
