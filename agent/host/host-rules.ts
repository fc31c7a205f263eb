import type { Logger } from 'pino';
import type { Assignments } from '../assign/assignments.js';
import { alongArgument } from '../core/along.js';
import { hostSeat } from '../core/decide.js';
import type { Device, Unit } from '../core/device.js';
import type { Policy } from '../core/policy.js';
import type { Verdict } from '../core/verdict.js';
import { compileRules } from '../policy/udev-rules.js';
import type { DeviceTable } from '../udev/table.js';
import { installRules, triggerChange, usbDevices } from './udev-rules.js';

/** Keeps the host's own udev in agreement with the policy: logind and the host's display server never take a seat's device. */
export class HostRules {
  /** Of each device that comes along with another, what udev was last told; it is not told the same twice. */
  private readonly told = new Map<string, string>();

  constructor(private readonly log: Logger) {}

  /**
   * Tells udev of a unit that it cannot judge by itself, when its last word differs: a unit that comes along, or no
   * longer does.
   */
  tell(unit: Unit, verdict: Verdict): void {
    // Until more is known, udev's last word stays.
    if (verdict.kind === 'unread') return;
    const argument = alongArgument(unit.head, verdict);
    if (argument !== undefined) {
      if (this.isNews(unit.head, argument)) this.trigger(unit, verdict);
      return;
    }
    if (unit.head.properties['HOTSEAT_WITH'] === undefined) return;
    // A node that udevd looked at before its head was told of takes over that word only when udevd looks at it again.
    const seat = unit.head.properties['HOTSEAT_SEAT'];
    for (const node of unit.nodes) {
      if (node.properties['HOTSEAT_SEAT'] !== seat && this.isNews(node, `${seat}`)) triggerChange(node.syspath);
    }
  }

  /** Whether udev has not been told this of this device before. */
  private isNews({ syspath, incarnation }: Device, what: string): boolean {
    const news = `${incarnation} ${what}`;
    if (this.told.get(syspath) === news) return false;
    if (this.told.size >= mostTold) this.told.clear();
    this.told.set(syspath, news);
    return true;
  }

  /** Installs the rules of a policy and asks udevd for a new look at the units whose host seat they change. */
  async install(policy: Policy, table: DeviceTable, assignments: Assignments): Promise<void> {
    if (await installRules(compileRules(policy))) {
      for (const syspath of usbDevices()) triggerChange(syspath);
      // Their place and kind are found out only when a rule asks for them.
      if (policy.seats.some(({ rules }) => rules.some(({ hidraw }) => hidraw))) {
        for (const { unit } of assignments.hidraws.alone()) triggerChange(unit.id);
      }
    }
    const stale = table.units().filter((unit) => {
      const verdict = assignments.judged.get(unit.id);
      const { ID_SEAT: now = 'seat0', HOTSEAT_ADMIN_SEAT: admins = 'seat0' } = unit.head.properties;
      return verdict !== undefined && verdict.kind !== 'unread' && now !== (hostSeat(verdict) ?? admins);
    });
    this.told.clear();
    for (const unit of stale) this.trigger(unit, assignments.judged.get(unit.id));
    for (const { unit, verdict } of assignments.hidraws.onHost()) {
      if (unit.head.properties['HOTSEAT_SEAT'] !== hostSeat(verdict)) this.trigger(unit, verdict);
    }
    if (stale.length > 0) this.log.info({ units: stale.map((unit) => unit.id) }, 'host seats changed');
  }
  /** The head first: devices below it take over its seat. */
  private trigger(unit: Unit, verdict: Verdict | undefined): void {
    const argument = verdict && alongArgument(unit.head, verdict);
    for (const device of new Set([unit.head, ...unit.nodes])) triggerChange(device.syspath, argument);
  }
}

/** More than a PC has; forgotten, a unit is told of once more. */
const mostTold = 1024;
