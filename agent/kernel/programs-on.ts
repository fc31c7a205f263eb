import { closeSync } from 'node:fs';
import * as bpf from './bpf.js';
import { openAt } from './fs.js';

/**
 * Names of our own programs beside those of engines and systemd. The copy keeps the rules of an engine's program in force while
 * that one goes behind ours.
 */
export const ours = { opener: 'hotseat_opener', forerunner: 'hotseat_first', copy: 'hotseat_copy' } as const;

export type Program = bpf.ProgramInfo & { readonly fd: number };

/** The device programs of a cgroup, in the order in which they run. */
export interface ProgramsOn {
  /** A descriptor of the cgroup. */
  readonly directory: number;
  readonly programs: readonly Program[];
  /** Whether it can have several. */
  readonly multi: boolean;
  readonly flags: number;
}

/** Looks at the device programs of a cgroup; their descriptors are closed afterwards. */
export function withProgramsOn<T>(cgroup: string, action: (on: ProgramsOn) => T): T {
  const open = [openAt(undefined, cgroup)];
  try {
    const [directory = -1] = open;
    const { ids, multi, flags } = bpf.attached(directory);
    const programs = ids.map((id) => {
      const fd = bpf.programById(id);
      open.push(fd);
      return { fd, ...bpf.programInfo(fd) };
    });
    return action({ directory, programs, multi, flags });
  } finally {
    for (const fd of open) closeSync(fd);
  }
}
