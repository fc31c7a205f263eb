// Where the lab meets the agent: how its service is installed and started in the guest.

import type { Lab } from './lab.js';
import { step } from './progress.js';

export const HOTSEAT_CLI = ['node', '/opt/hotseat/dist/agent/cli/main.js'] as const;
export const HOTSEAT_UNIT = 'hotseat.service';

/** Installs what is in rules/ and starts the service; false if this checkout has none yet. */
export async function startAgent(lab: Lab): Promise<boolean> {
  const there = await lab.guest(['test', '-f', `/opt/hotseat/rules/${HOTSEAT_UNIT}`], { allowFailure: true });
  if (there.code !== 0) return false;
  await step('starting the agent', async () => {
    await lab.sh('cp /opt/hotseat/rules/*.service /etc/systemd/system/ && systemctl daemon-reload');
    try {
      await lab.guest(['systemctl', 'start', HOTSEAT_UNIT], { timeoutMs: 100_000 });
    } catch (error) {
      await lab.guest(['systemctl', 'stop', HOTSEAT_UNIT], { allowFailure: true }); // no restart loop under what follows
      throw error;
    }
  });
  return true;
}
