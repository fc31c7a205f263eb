import type { DeviceNumber } from '../../../agent/core/device.js';
import type { InFlight, Search } from '../../../agent/kernel/holders.js';
import { isSame, type PcDevice } from './pc.js';

/**
 * Why a search does not see the open files of a process. `many`: there are more than it looks at while a container stands still;
 * `too many`: more than it ever looks at; otherwise as in `Unseen`.
 */
export const veils = ['many', 'too many', 'refused', 'endless'] as const;
type Veil = (typeof veils)[number];

/** A process with open files, as a search finds it. */
export interface Process {
  readonly name: string;
  readonly pid: number;
  readonly cgroup: string;
  readonly uid: number;
  /** As in `InFlight`. */
  readonly isHosts: boolean;
  /** Devices as they were plugged: plugged again, they are others. */
  open: PcDevice[];
  /** Its open files in messages that nobody has read: no descriptor leads there. */
  inFlight: PcDevice[];
  /** Undefined: all that it has open is seen. */
  veil: Veil | undefined;
  /** It keeps the kernel busy at all devices that it has open. */
  isBusy: boolean;
}

/** Whether a process has a device open, wherever. */
export const holds = ({ open, inFlight }: Process, device: PcDevice): boolean =>
  open.includes(device) || inFlight.includes(device);

/** Reads the messages that it has not read yet. */
export function readMessages(process: Process): void {
  process.open = [...new Set([...process.open, ...process.inFlight])];
  process.inFlight = [];
}

/** Keeps only some of its open files. */
export function keepOpen(process: Process, isKept: (device: PcDevice) => boolean): void {
  process.open = process.open.filter(isKept);
  process.inFlight = process.inFlight.filter(isKept);
}

/** Ends all that makes it hard to look at a process. */
export function unveil(process: Process): void {
  process.veil = undefined;
  process.isBusy = false;
}

/** A process outside of all containers that may be handed what is open in one. */
export class Outsider implements Process {
  open: PcDevice[] = [];
  inFlight: PcDevice[] = [];
  veil: Veil | undefined;
  isBusy = false;
  /** The seats whose containers handed it a device. */
  readonly givers = new Map<PcDevice, Set<string>>();
  /** It may keep these: it is the PC's own, and was not seen to have them; or the agent said that it may have them. */
  readonly excused = new Set<PcDevice>();

  constructor(
    readonly name: string,
    readonly pid: number,
    readonly cgroup: string,
    readonly uid: number,
    readonly isHosts: boolean,
  ) {}

  /** It is sent the open files of a seat's container. */
  receive(devices: readonly PcDevice[], seat: string | undefined): void {
    for (const device of devices) {
      if (!holds(this, device)) this.inFlight.push(device);
      const givers = this.givers.get(device) ?? new Set();
      this.givers.set(device, seat === undefined ? givers : givers.add(seat));
    }
  }

  /** Whether nobody has to take a device from it, when that is for these seats. */
  mayHave(device: PcDevice, owners: readonly string[]): boolean {
    return this.excused.has(device) || owners.some((owner) => this.givers.get(device)?.has(owner) === true);
  }
}

/** Whether a search sees what a process has open; one that stops nobody meanwhile is `isPatient`. */
export const isSeen = ({ veil }: Process, isPatient: boolean): boolean =>
  veil === undefined || (veil === 'many' && isPatient);

/** The findings of a search for devices among some processes. */
export function searched(
  processes: readonly Process[],
  numbers: readonly DeviceNumber[],
  isPatient: boolean,
): Pick<Search, 'holders' | 'inFlight' | 'unseen'> {
  const who = ({ pid, name, cgroup, uid, isHosts }: Process): InFlight => ({
    ...{ pid, command: name, cgroup, uid, isHosts },
  });
  const seen = processes.filter((process) => isSeen(process, isPatient));
  return {
    holders: seen.flatMap(({ pid, name, cgroup, open }) =>
      open.flatMap(({ number }, fd) =>
        number !== undefined && numbers.some((one) => isSame(one, number))
          ? [{ pid, fd, command: name, cgroup, number }]
          : [],
      ),
    ),
    inFlight: seen.filter(({ inFlight }) => inFlight.length > 0).map(who),
    unseen: processes.flatMap((process) => {
      const { veil } = process;
      if (veil === undefined || isSeen(process, isPatient)) return [];
      return [{ ...who(process), why: veil === 'many' ? 'too many' : veil }];
    }),
  };
}
