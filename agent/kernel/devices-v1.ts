import { writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { type DeviceNumber, numberText } from '../core/device.js';
import { devicesPathV1, devicesRootV1, isWithin } from './cgroup.js';
import { directoriesIn, readOptional } from './read.js';

/**
 * Rules of the devices controller of cgroups v1, by which engines of a hybrid host shut the door: the kernel asks it
 * besides the device programs, and opens a device only if both allow it (device_cgroup.h, devcgroup_check_permission).
 * We only open, number by number; only the guard forbids. The map of grants alone has these numbers.
 */
export class DevicesV1 {
  /** `unified` and `root`: mount points of the cgroup2 hierarchy and of the controller's. */
  constructor(
    private readonly unified: string,
    private readonly root: string,
  ) {}

  /** Undefined where the controller is not in use: there the engines' rules are device programs. */
  static find(unified: string): DevicesV1 | undefined {
    const root = devicesRootV1();
    return root === undefined ? undefined : new DevicesV1(unified, root);
  }

  /** Opens a container for all that it is granted; and says so when its rules are not its own, where that would open others. */
  open(cgroup: string, init: number, granted: readonly DeviceNumber[]): void {
    const own = this.groupOf(cgroup);
    const at = join(this.root, devicesPathV1(init) ?? '/');
    if (!isWithin(at, own)) {
      if (!isShut(rules(at))) return;
      throw new Error(
        `its engine denies a device, and Hotseat cannot open it: the container has no group of its own in ${this.root}, and ${at} is not its alone`,
      );
    }
    for (const number of granted) this.allow(cgroup, number);
  }

  /**
   * Opens a container's group for a number, and every group below: a new group is a copy of the group above it, and
   * does not get permissions that the upper group gets later (security/device_cgroup.c, devcgroup_online and
   * propagate_exception).
   */
  allow(cgroup: string, number: DeviceNumber): void {
    const rule = ruleOf(number);
    for (const group of groups(this.groupOf(cgroup))) {
      const known = rules(group);
      if (isShut(known) && !known.includes(rule)) write(group, 'allow', rule);
    }
  }

  /** Takes back exactly this rule, so that permissions by other rules of the engine stay. */
  deny(cgroup: string, number: DeviceNumber): void {
    const rule = ruleOf(number);
    for (const group of groups(this.groupOf(cgroup))) if (rules(group).includes(rule)) write(group, 'deny', rule);
  }

  /** Engines and systemd call a container the same in every hierarchy. */
  private groupOf(cgroup: string): string {
    return join(this.root, relative(this.unified, cgroup));
  }
}

const ruleOf = (number: DeviceNumber): string => `c ${numberText(number)} rwm`;

/** Limit of the groups of a container that are gone through: a process inside can nest any number of groups. */
const mostGroups = 10_000;

/**
 * A group and all below it, topmost first: no group may allow more than the group above it. When the kernel denies a
 * device to a group, it also denies it to all groups below (devcgroup_update_access and propagate_exception), even to
 * those that are not gone through here.
 */
export function groups(top: string, most = mostGroups): string[] {
  const found = [top];
  for (let at = 0; at < found.length; at++) {
    const group = found[at] ?? top;
    for (const name of directoriesIn(group, most - found.length)) found.push(join(group, name));
  }
  return found;
}

/** Its rules, one a line (cgroup-v1/devices.rst); none when it has gone. */
const rules = (group: string): string[] => (readOptional(join(group, 'devices.list')) ?? '').trim().split('\n');

/**
 * Whether the group denies everything that no rule allows. In the opposite case the kernel lists this line and no
 * other.
 */
const isShut = (known: readonly string[]): boolean => !known.includes('a *:* rwm');

function write(group: string, way: 'allow' | 'deny', rule: string): void {
  try {
    writeFileSync(join(group, `devices.${way}`), rule);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENODEV') return; // a group that went meanwhile
    if (code !== 'EPERM') throw error;
    throw new Error(`${group} cannot be opened for "${rule}": ${dirname(group)} denies it, and is not the container's`);
  }
}
