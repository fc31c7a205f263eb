// The helper process: looks at files of others, acts in their namespaces, and takes devices back from them. See helpers.ts.

import { closeSync, constants, opendirSync, openSync } from 'node:fs';
import { constants as system } from 'node:os';
import { type NodeClass, numberText } from '../core/device.js';
import type { Placeholder } from '../core/step.js';
import { leaveService } from './cgroup.js';
import { SysError } from './errors.js';
import {
  type Found,
  findInRoot,
  listDirectory,
  listInRoot,
  mkdirInRoot,
  type Owner,
  openInRoot,
  openRoot,
  readInRoot,
} from './fs.js';
import { type GroupWrite, writeGroup } from './group-files.js';
import type { Search, SearchOptions } from './holders.js';
import { syscall } from './libc.js';
import { openLocal } from './local.js';
import { type MountPoint, mountPointsIn, moveMount, unmount } from './mount.js';
import { bindNode, type NodeBind, unbindNode } from './node-bind.js';
import { pidfdGetfd, pidfdOpen } from './pidfd.js';
import { type ProcessRef, processKey } from './process-key.js';
import { readIfThere, readUpTo } from './read.js';
import type { ReadKind } from './read-places.js';
import { look } from './statx.js';
import type { Taken, TakenBack } from './take-back.js';
import { noteAt } from './whereabouts.js';

/**
 * Questions about devices, and so about all processes that have them open. `owner`: who is to blame for a late answer when nothing
 * else tells (`ownerOf`).
 */
export type DeviceRequest =
  /** The preparations for a search, which take longer than most searches do. */
  | { readonly do: 'prepare'; readonly owner: string }
  | ({ readonly do: 'search'; readonly owner: string } & Searched)
  /** A search, and everything that it finds is made dead. */
  | ({ readonly do: 'take-back'; readonly owner: string } & Searched)
  | { readonly do: 'rebind'; readonly owner: string; readonly unit: string; readonly kind: NodeClass }
  /** Files of the kernel whose reader can wait for somebody. */
  | {
      readonly do: 'read-files';
      readonly kind: ReadKind;
      /** A name for the device, the same at each question. */
      readonly owner: string;
      readonly files: readonly string[];
      /** Longest file, bytes. */
      readonly limit: number;
      /** `latin1` for files that are no text: a character for each byte. */
      readonly encoding: 'utf8' | 'latin1';
    };

export interface Searched extends SearchOptions {
  readonly nodes: readonly Taken[];
}

/** Questions about a process of somebody. `process`: whose namespaces. Descriptors are the agent's own. */
export type ProcessRequest =
  | {
      readonly do: 'graft';
      readonly process: ProcessRef;
      /** Host ids of the container's root, which owns the directories that have to be made. */
      readonly owner: Owner;
      /** Detached trees, and where below the root of the process they belong. */
      readonly mounts: readonly { readonly tree: number; readonly target: string }[];
    }
  | {
      readonly do: 'bind-node';
      readonly process: ProcessRef;
      readonly owner: Owner;
      /** A detached tree that is one node, and its name in /dev. */
      readonly tree: number;
      readonly name: string;
      readonly former: Placeholder | undefined;
    }
  | {
      readonly do: 'unbind-node';
      readonly process: ProcessRef;
      readonly name: string;
      /** Which file system the node is of, as stat(2) has it. */
      readonly device: bigint;
      readonly placeholder: Placeholder | undefined;
    }
  /** Paths as the namespace sees them. */
  | { readonly do: 'unmount'; readonly process: ProcessRef; readonly targets: readonly string[] }
  | { readonly do: 'uevent-socket'; readonly process: ProcessRef }
  | { readonly do: 'find'; readonly process: ProcessRef; readonly paths: readonly string[] }
  | { readonly do: 'read-file'; readonly process: ProcessRef; readonly path: string; readonly limit: number }
  | { readonly do: 'list-directory'; readonly process: ProcessRef; readonly path: string; readonly limit: number }
  /** Mounts at these paths, and wherever one of these file systems is mounted. */
  | {
      readonly do: 'mounts';
      readonly process: ProcessRef;
      readonly targets: readonly string[];
      readonly devices: readonly string[];
    }
  | { readonly do: 'command-line'; readonly process: ProcessRef }
  /** A directory of the host's, by a path that somebody else may have a say in. */
  | { readonly do: 'open-local'; readonly process: ProcessRef; readonly path: string }
  /** `numbers`: of devices, as `numberText` has them. */
  | { readonly do: 'mapped'; readonly process: ProcessRef; readonly numbers: readonly string[] }
  | ({ readonly do: 'write-group'; readonly process: ProcessRef } & GroupWrite);

/** The questions of the agent. */
export type Request = ProcessRequest | DeviceRequest;

/** The answer to each question. */
export interface Results {
  /** For every mount the names that it covers now. */
  readonly graft: string[][];
  readonly 'bind-node': NodeBind;
  readonly 'unbind-node': undefined;
  readonly unmount: undefined;
  readonly 'uevent-socket': number;
  readonly find: Found[];
  readonly 'read-file': string | undefined;
  readonly 'list-directory': string[] | undefined;
  readonly mounts: MountPoint[];
  readonly 'command-line': string | undefined;
  readonly 'open-local': number;
  readonly mapped: boolean;
  readonly 'write-group': undefined;
  /** Why it cannot be told who is in the middle of execve; undefined when it can. */
  readonly prepare: string | undefined;
  readonly search: Search;
  readonly 'take-back': TakenBack & { readonly search: Search };
  /** The device whose driver was bound again. */
  readonly rebind: string;
  /** For each file its text; undefined for one that is not there. It is an error when one cannot be read. */
  readonly 'read-files': (string | undefined)[];
}

/** A result, or an error in the parts that survive the way between processes. */
export type Answer =
  | { readonly result: Results[keyof Results] }
  | { readonly error: string; readonly system?: { syscall: string; errno: number; what: string } };

const flags = { fs: 0x200, mount: 0x20000, network: 0x40000000 }; // CLONE_FS, CLONE_NEWNS, CLONE_NEWNET
/** Longest command line that is read, bytes: a monitor's is some hundred. */
const longestCommandLine = 64 * 1024;
/** So many mounts are told of: there are a few at a seat's places, unless somebody inside makes more. */
const mostMounts = 1000;
/** So many mapped files of one process are looked at: the kernel's own limit is this by default (vm.max_map_count). */
const mostMappings = 65_530;

// setns(2) into a mount namespace is refused while threads share file-system state (man 2 setns, EINVAL).
syscall('unshare', 'file-system state of this thread', flags.fs);
// systemd waits for every process in a service's group before it starts the service again, even for a process that it
// cannot kill. So we are never in it while we look at anything.
leaveService(process.pid);
const own = { mount: open('/proc/thread-self/ns/mnt'), network: open('/proc/thread-self/ns/net') };

/** Descriptors that were opened for the agent. It has them when it asks the next question. */
let lent: number | undefined;

process.on('message', (request: Request | 'taken') => {
  if (lent !== undefined) closeSync(lent);
  lent = undefined;
  if (request !== 'taken') void answer(request).then(say);
});
process.on('disconnect', () => process.exit());
say('ready');

/** An agent that has ended hears nothing, and we end with it. */
function say(message: Answer | 'ready'): void {
  process.send?.(message, () => undefined);
}

/** A helper that cannot come home must do nothing more: that one error is thrown, and ends it. */
class Stranded extends Error {}

async function answer(request: Request): Promise<Answer> {
  try {
    // A device whose driver was unbound gets it back, also when the agent ends meanwhile.
    if (request.do === 'rebind') outliveAgent();
    else endWithAgent();
    if (!('process' in request)) return { result: await performOn(request) };
    return { result: withProcess(request.process, (directory) => perform(request, directory)) };
  } catch (error) {
    if (error instanceof Stranded) throw error;
    if (!(error instanceof SysError)) return { error: (error as Error).message };
    const { message, syscall: name, errno, what } = error;
    return { error: message, system: { syscall: name, errno, what } };
  }
}

/**
 * The kernel kills us when the agent ends, however it does (PR_SET_PDEATHSIG, prctl(2)): systemd would not, outside of the
 * service's group. It forgets that when we make a directory as another user (commit_creds in kernel/cred.c), so it is told
 * each time.
 */
function endWithAgent(): void {
  syscall('prctl', 'end with the agent', 1, system.signals.SIGKILL);
}

function outliveAgent(): void {
  syscall('prctl', 'outlive the agent', 1, 0);
}

/**
 * Does something with the directory of a process in /proc. It stays open meanwhile. A name below it then belongs to
 * that very process. Once the process has ended, the name leads nowhere, even if another process gets the pid
 * (fs/proc/base.c, proc_pid_lookup and get_proc_task).
 */
function withProcess<T>({ pid, key }: ProcessRef, action: (directory: string) => T): T {
  const directory = open(`/proc/${pid}`);
  try {
    const path = `/proc/self/fd/${directory}`;
    if (processKey(pid, path) !== key) throw new Error(`process ${pid} has ended`);
    return action(path);
  } finally {
    closeSync(directory);
  }
}

/** Once in a helper's life. */
let prepared: Promise<string | undefined> | undefined;

function prepare(): Promise<string | undefined> {
  const load = async (): Promise<string | undefined> => {
    const { ringsRefusal } = await import('./rings.js');
    ringsRefusal();
    const { watchFiles } = await import('./open-files.js');
    watchFiles();
    const { watchThreads } = await import('./thread-facts.js');
    watchThreads();
    const { watchExecs } = await import('./execs.js');
    return watchExecs();
  };
  prepared ??= load();
  return prepared;
}

/** Files that most helpers never need are loaded when they are. */
async function performOn(request: DeviceRequest): Promise<Results[DeviceRequest['do']]> {
  switch (request.do) {
    case 'prepare':
      return prepare();
    case 'search': {
      const { search, inBrief } = await searched(request);
      return inBrief(search);
    }
    case 'take-back': {
      const { search, inBrief } = await searched(request);
      const { takeBack } = await import('./take-back.js');
      return { ...takeBack(request.nodes, search, () => noteAt(0)), search: inBrief(search) };
    }
    case 'read-files':
      return request.files.map((file) => readIfThere(file, request.limit, request.encoding));
    case 'rebind': {
      const { rebind } = await import('./rebind.js');
      return rebind(request.unit, request.kind);
    }
  }
}

async function searched(asked: Searched) {
  await prepare();
  const { findHolders, inBrief } = await import('./holders.js');
  const numbers = asked.nodes.map(({ number }) => number);
  return { search: findHolders(numbers, asked, noteAt), inBrief };
}

/** `directory`: that of the process in /proc. */
function perform(request: ProcessRequest, directory: string): Results[keyof Results] {
  switch (request.do) {
    case 'graft':
      return graft(request, directory);
    case 'bind-node': {
      const { tree, name, owner, former } = request;
      return withAgents([tree], ([copy = -1]) =>
        inRoot(directory, (root) => bindNode(root, { directory: 'dev', name }, copy, owner, former, inside(directory))),
      );
    }
    case 'unbind-node': {
      const { name, device, placeholder } = request;
      inRoot(directory, (root) => unbindNode(root, { directory: 'dev', name }, device, placeholder, inside(directory)));
      return undefined;
    }
    case 'find':
      return inRoot(directory, (root) => request.paths.map((path) => findInRoot(root, path)));
    case 'read-file':
      return inRoot(directory, (root) => readInRoot(root, request.path, request.limit));
    case 'list-directory':
      return inRoot(directory, (root) => listInRoot(root, request.path, request.limit));
    case 'unmount':
      inside(directory)(() => {
        for (const target of request.targets) unmount(target);
      });
      return undefined;
    case 'uevent-socket':
      lent = within(`${directory}/ns/net`, flags.network, own.network, () =>
        // AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_KOBJECT_UEVENT (netlink(7))
        syscall('socket', 'netlink', 16, 3 | 0o2000000, 15),
      );
      return lent;
    case 'mounts':
      return mounts(request, directory);
    case 'command-line':
      return readUpTo(`${directory}/cmdline`, longestCommandLine);
    case 'open-local':
      lent = openLocal(request.path);
      return lent;
    case 'mapped':
      return hasMapped(request, directory);
    case 'write-group':
      writeGroup(request);
      return undefined;
  }
}

function mounts({ process, targets, devices }: Extract<Request, { do: 'mounts' }>, directory: string): MountPoint[] {
  const all = mountPointsIn(directory);
  const places = new Set([
    ...targets,
    ...all.flatMap(({ device, target }) => (devices.includes(device) ? [target] : [])),
  ]);
  const found = all.filter(({ target }) => places.has(target));
  if (found.length > mostMounts)
    throw new Error(`process ${process.pid} has over ${mostMounts} mounts at its seat's places`);
  return found;
}

/** A mapping keeps a file open that no descriptor leads to any more (proc_pid_map_files(5)). */
function hasMapped({ numbers, process }: Extract<Request, { do: 'mapped' }>, directory: string): boolean {
  const files = opendirSync(`${directory}/map_files`, { bufferSize: 512 });
  try {
    let left = mostMappings;
    for (let entry = files.readSync(); entry !== null; entry = files.readSync()) {
      if (--left < 0) throw new Error(`process ${process.pid} has over ${mostMappings} files mapped`);
      const file = look(`${directory}/map_files/${entry.name}`);
      if (file === 'unseen') throw new Error(`process ${process.pid} has a file mapped that is not shown to us`);
      if (file !== 'gone' && file.device !== undefined && numbers.includes(numberText(file.device))) return true;
    }
    return false;
  } finally {
    files.closeSync();
  }
}

/** Runs something with copies of descriptors of the agent. */
function withAgents<T>(fds: readonly number[], action: (copies: readonly number[]) => T): T {
  const agent = pidfdOpen(process.ppid);
  const copies: number[] = [];
  try {
    for (const fd of fds) copies.push(pidfdGetfd(agent, fd));
    return action(copies);
  } finally {
    for (const fd of [agent, ...copies]) closeSync(fd);
  }
}

/** Finds or makes the targets from outside, following no link of the container's, and attaches the trees inside. */
function graft({ owner, mounts }: Extract<Request, { do: 'graft' }>, directory: string): string[][] {
  const trees = mounts.map(({ tree }) => tree);
  return withAgents(trees, (copies) =>
    inRoot(directory, (root) => {
      const targets: number[] = [];
      try {
        const covers = mounts.map(({ target }) => {
          mkdirInRoot(root, target, 0o755, owner);
          const place = openInRoot(root, target);
          targets.push(place);
          return listDirectory(place);
        });
        inside(directory)(() => {
          for (const [index, tree] of copies.entries()) moveMount(tree, targets[index] ?? -1);
        });
        return covers;
      } finally {
        for (const fd of targets) closeSync(fd);
      }
    }),
  );
}

function inRoot<T>(directory: string, action: (root: number) => T): T {
  const root = openRoot(directory);
  try {
    return action(root);
  } finally {
    closeSync(root);
  }
}

/** Runs something in the mount namespace of a process. */
const inside =
  (directory: string) =>
  (action: () => void): void =>
    within(`${directory}/ns/mnt`, flags.mount, own.mount, action);

/** Runs something in another namespace. Only system calls that were bound before run there; nothing is loaded. */
function within<T>(path: string, kind: number, home: number, action: () => T): T {
  const namespace = open(path);
  try {
    syscall('setns', path, namespace, kind);
    try {
      return action();
    } finally {
      comeHome(home, kind);
    }
  } finally {
    closeSync(namespace);
  }
}

/** setns(2) into a mount namespace also sets root and working directory to that namespace's root. */
function comeHome(home: number, kind: number): void {
  try {
    syscall('setns', 'our own namespace', home, kind);
  } catch (error) {
    throw new Stranded((error as Error).message);
  }
}

function open(path: string): number {
  return openSync(path, constants.O_RDONLY);
}
