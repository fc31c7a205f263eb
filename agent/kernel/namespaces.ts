import { closeSync } from 'node:fs';
import { pid } from 'node:process';
import type { Found } from './fs.js';
import type { GroupWrite } from './group-files.js';
import type { Request } from './helper.js';
import { Helpers } from './helpers.js';
import type { MountPoint } from './mount.js';
import type { NodeBind } from './node-bind.js';
import { pidfdGetfd, pidfdOpen } from './pidfd.js';
import { type ProcessRef, processKey } from './process-key.js';

type Asked<K extends Request['do']> = Omit<Extract<Request, { do: K }>, 'do'>;

/**
 * Looks at files of others, and acts in their mount and network namespaces, by helper processes: the agent itself never
 * leaves home, and waits for nobody's file system. Every question is about a process, and throws when it has ended, and
 * when its owner does not let it be answered in time.
 */
export class Namespaces {
  constructor(private readonly helpers = new Helpers()) {}

  /** Starts a helper before it is needed: loading it is the slow part. */
  start(): Promise<void> {
    return this.helpers.start();
  }

  /**
   * Attaches detached trees at paths below the root of a process, in its mount namespace; missing directories are made
   * as its root user's. Answers with the names that each of them covers; the descriptors stay the caller's.
   */
  graft(asked: Asked<'graft'>): Promise<string[][]> {
    return this.helpers.ask({ do: 'graft', ...asked });
  }

  /**
   * Shows a single node in the `/dev` of a process: mounted on an empty file, which is made as its root user's. A
   * former mount of the same file system there goes. The descriptor stays the caller's.
   */
  bindNode(asked: Asked<'bind-node'>): Promise<NodeBind> {
    return this.helpers.ask({ do: 'bind-node', ...asked });
  }

  /** Takes such a node away again, and the file below it if it still is the file that was made for it. */
  async unbindNode(asked: Asked<'unbind-node'>): Promise<void> {
    await this.helpers.ask({ do: 'unbind-node', ...asked });
  }

  /** Takes mounts away in the mount namespace of a process, the last one first. */
  async unmount(process: ProcessRef, targets: readonly string[]): Promise<void> {
    await this.helpers.ask({ do: 'unmount', process, targets });
  }

  /** A netlink socket for uevents in the network namespace of a process; the caller closes it. */
  openUeventSocket(process: ProcessRef): Promise<number> {
    return this.helpers.ask({ do: 'uevent-socket', process }, borrowed);
  }

  /**
   * A directory of the host's whose path somebody else may have a say in, open by name only (O_PATH); the caller closes it.
   * Throws when it lies in a file system that need not answer.
   */
  openLocal(path: string): Promise<number> {
    const key = processKey(pid) ?? '';
    return this.helpers.ask({ do: 'open-local', process: { pid, key }, path }, borrowed);
  }

  /** Entries at paths of a container, below the root of a process. */
  find(process: ProcessRef, paths: readonly string[]): Promise<Found[]> {
    return this.helpers.ask({ do: 'find', process, paths });
  }

  /** A plain file of a container, by its path below the root of a process; undefined when there is none. */
  readFile(process: ProcessRef, path: string, bytes: number): Promise<string | undefined> {
    return this.helpers.ask({ do: 'read-file', process, path, limit: bytes });
  }

  /** Names in a directory of a container, at most `limit`; undefined when there is none that is reached without a link. */
  listDirectory(process: ProcessRef, path: string, limit: number): Promise<string[] | undefined> {
    return this.helpers.ask({ do: 'list-directory', process, path, limit });
  }

  /**
   * Mounts of a process, in mount order: all that are at one of these paths, or at one where one of these file systems
   * (`major:minor`) is mounted.
   */
  mounts(
    process: ProcessRef,
    which: { targets?: readonly string[]; devices?: readonly string[] },
  ): Promise<MountPoint[]> {
    return this.helpers.ask({
      do: 'mounts',
      process,
      targets: which.targets ?? [],
      devices: which.devices ?? [],
    });
  }

  /**
   * The command line of a process, its arguments separated by NUL; undefined when it has gone. The kernel reads it from the
   * process's own memory, which may lie in a file of its owner's (proc_pid_cmdline(5)).
   */
  commandLine(process: ProcessRef): Promise<string | undefined> {
    return this.helpers.ask({ do: 'command-line', process });
  }

  /** Whether a process has one of these devices (`226:0`) mapped: then it is open, although no descriptor leads to it. */
  hasMapped(process: ProcessRef, numbers: readonly string[]): Promise<boolean> {
    return this.helpers.ask({ do: 'mapped', process, numbers });
  }

  /** Writes to the files of a process's group or of one above it: the kernel may reclaim memory before it is done. */
  async writeGroup(process: ProcessRef, write: GroupWrite): Promise<void> {
    await this.helpers.ask({ do: 'write-group', process, ...write });
  }

  /** Ends the helpers, for good. Open questions are refused. */
  close(): void {
    this.helpers.close();
  }
}

/** A copy of a descriptor that a helper has opened for us. */
function borrowed(fd: number, helper: number): number {
  const pidfd = pidfdOpen(helper);
  try {
    return pidfdGetfd(pidfd, fd);
  } finally {
    closeSync(pidfd);
  }
}
