import type { Logger } from 'pino';
import { hostSeat } from '../core/decide.js';
import type { Policy } from '../core/policy.js';
import type { House } from '../house.js';
import { compileRules } from '../policy/udev-rules.js';
import type { DeviceTable } from '../udev/table.js';
import { installRules, triggerChange, usbDevices } from './udev-rules.js';

/** Keeps the host's own udev in agreement with the policy: logind and the host's display server never take a seat's device. */
export class HostRules {
  constructor(private readonly log: Logger) {}

  /** Installs the rules of a policy and asks udevd for a new look at the units whose host seat they change. */
  async install(policy: Policy, table: DeviceTable, house: House): Promise<void> {
    if (await installRules(compileRules(policy))) for (const syspath of usbDevices()) triggerChange(syspath);
    const stale = table.units().filter((unit) => {
      const verdict = house.judged.get(unit.id);
      const { ID_SEAT: now = 'seat0', HOTSEAT_ADMIN_SEAT: admins = 'seat0' } = unit.head.properties;
      return verdict !== undefined && now !== (hostSeat(verdict) ?? admins);
    });
    for (const unit of stale) {
      for (const device of new Set([unit.head, ...unit.nodes])) triggerChange(device.syspath);
    }
    if (stale.length > 0) this.log.info({ units: stale.map((unit) => unit.id) }, 'host seats changed');
  }
}
