import { writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { type DeviceNumber, numberText } from '../core/device.js';
import { devicesPathV1, devicesRootV1, isWithin } from './cgroup.js';
import { directoriesIn, readOptional } from './read.js';

/**
 * Rules of the devices controller of cgroups v1, by which engines of a hybrid host shut the door: the kernel asks it
 * besides the device programs, and opens what both allow (device_cgroup.h, devcgroup_check_permission). We only ever open,
 * number by number, and what forbids stays the guard. Which numbers those are stands in the map of grants alone.
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
        `what its engine denies cannot be opened: it has no group of its own in ${this.root}, and ${at} is not its alone`,
      );
    }
    for (const number of granted) this.allow(cgroup, number);
  }

  /**
   * Opens a container's group for a number, and every group below: one is made as a copy of that above it, and is not told
   * of what is allowed there later (security/device_cgroup.c, devcgroup_online and propagate_exception).
   */
  allow(cgroup: string, number: DeviceNumber): void {
    const rule = ruleOf(number);
    for (const group of groups(this.groupOf(cgroup))) {
      const known = rules(group);
      if (isShut(known) && !known.includes(rule)) write(group, 'allow', rule);
    }
  }

  /** Takes it back: exactly this rule, so that what the engine allows by another stays. */
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

/** So many groups of a container are gone through: whoever is inside can make any number, in each other. */
const mostGroups = 10_000;

/**
 * A group and all below it, topmost first: none may allow what the one above it does not. What is denied to one is denied to
 * all below it by the kernel (devcgroup_update_access and propagate_exception), also to those that are not gone through here.
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

/** Whether anything is denied but what is allowed: of the opposite, the kernel lists this line and no other. */
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
