import { hasAnswers } from './answers.js';
import { cgroupsBelow, isWithin } from './cgroup.js';
import type { DeviceMap } from './device-map.js';
import { ensureForerunner, isForerunner, removeForerunner } from './forerunner.js';
import { ensureOpener, isOpener, removeOpeners } from './opener.js';
import { withProgramsOn } from './programs-on.js';

/** The device programs that a group has of others. */
interface Door {
  readonly at: string;
  readonly isShut: boolean;
  /** It can have one program alone. */
  readonly isAlone: boolean;
  /** An agent that knew no forerunners has put itself before a program here. */
  readonly isFormers: boolean;
  /** It has a forerunner. */
  readonly isFirst: boolean;
}

/**
 * Opens the doors that the device programs of others keep shut, for granted devices and for nothing else: on the way from the root of
 * the hierarchy to the group of init, engines have programs on the container's `cgroup` or below it (crun on `…/container`),
 * systemd on any group that is a unit of its own. Idempotent. It also repairs what others have changed.
 */
export function openDoors(map: DeviceMap, cgroup: string, lowest: string): void {
  const groups = cgroupsBelow(map.root, isWithin(lowest, cgroup) ? lowest : cgroup);
  const doors = groups.map(doorAt);
  // A program beside theirs would make the kernel pass over programs that stand alone further up.
  if (!hasAnswers() || doors.some(({ isAlone }) => isAlone)) {
    // All openers first: what a forerunner lets the container have is missing at no moment.
    for (const at of groups) ensureOpener(map, at);
    for (const { at, isFirst } of doors) if (isFirst) removeForerunner(at);
    return;
  }
  const isShut = doors.some((door) => door.isShut);
  for (const { at, isShut: isHere, isFormers } of doors) {
    // Programs further up run later than the forerunner on the container's own group. Openers there take nothing away, and the
    // container of another seat may need them.
    if (!isWithin(at, cgroup) || !(isHere || (at === cgroup && isShut))) continue;
    ensureForerunner(map, at);
    // Only now, so that the container gets through at every moment.
    if (isFormers) removeOpeners(at);
  }
}

/** As if there had been no agent. */
export function closeDoors(cgroup: string): void {
  removeForerunner(cgroup);
  removeOpeners(cgroup);
}

const doorAt = (at: string): Door =>
  withProgramsOn(at, ({ programs, multi }) => {
    const isShut = programs.some((one) => !isForerunner(one));
    return {
      at,
      isShut,
      isAlone: isShut && !multi,
      isFormers: programs.some(isOpener),
      isFirst: programs.some(isForerunner),
    };
  });
