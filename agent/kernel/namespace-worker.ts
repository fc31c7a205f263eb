import { closeSync, constants, openSync } from 'node:fs';
import { parentPort } from 'node:worker_threads';
import type { Placeholder } from '../core/step.js';
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
import { syscall } from './libc.js';
import { moveMount, unmount } from './mount.js';
import { bindNode, type NodeBind, unbindNode } from './node-bind.js';

/** What the main thread may ask of this one. `pid`: whose namespaces. */
export type NamespaceRequest = { readonly id: number } & (
  | {
      readonly do: 'graft';
      readonly pid: number;
      /** Host ids of the container's root, which owns the directories that have to be made. */
      readonly owner: Owner;
      /** Detached trees, and where below the root of `pid` they belong. */
      readonly mounts: readonly { readonly tree: number; readonly target: string }[];
    }
  | {
      readonly do: 'bind-node';
      readonly pid: number;
      readonly owner: Owner;
      /** A detached tree that is one node, and its name in /dev. */
      readonly tree: number;
      readonly name: string;
      readonly former: Placeholder | undefined;
    }
  | {
      readonly do: 'unbind-node';
      readonly pid: number;
      readonly name: string;
      /** Which file system the node is of, as stat(2) has it. */
      readonly device: bigint;
      readonly placeholder: Placeholder | undefined;
    }
  /** Paths as the namespace sees them. */
  | { readonly do: 'unmount'; readonly pid: number; readonly targets: readonly string[] }
  | { readonly do: 'uevent-socket'; readonly pid: number }
  | { readonly do: 'find'; readonly pid: number; readonly paths: readonly string[] }
  | { readonly do: 'read-file'; readonly pid: number; readonly path: string; readonly limit: number }
  | { readonly do: 'list-directory'; readonly pid: number; readonly path: string; readonly limit: number }
);

/** What each of them answers with. */
export interface NamespaceResults {
  /** For every mount the names that it covers now. */
  readonly graft: string[][];
  readonly 'bind-node': NodeBind;
  readonly 'unbind-node': undefined;
  readonly unmount: undefined;
  readonly 'uevent-socket': number;
  readonly find: Found[];
  readonly 'read-file': string | undefined;
  readonly 'list-directory': string[] | undefined;
}

/** A result, or an error in the parts that survive the way between threads. */
export type NamespaceAnswer = { readonly id: number } & (
  | { readonly result: NamespaceResults[keyof NamespaceResults] }
  | { readonly error: string; readonly system?: { syscall: string; errno: number; what: string } }
);

const flags = { fs: 0x200, mount: 0x20000, network: 0x40000000 }; // CLONE_FS, CLONE_NEWNS, CLONE_NEWNET
const port = parentPort;
if (port === null) throw new Error('namespace-worker runs as a worker thread only');

// setns(2) into a mount namespace is refused while threads share file-system state (man 2 setns, EINVAL).
syscall('unshare', 'file-system state of this thread', flags.fs);
const own = { mount: open('/proc/thread-self/ns/mnt'), network: open('/proc/thread-self/ns/net') };

port.postMessage('ready');
port.on('message', (request: NamespaceRequest) => {
  port.postMessage(answer(request));
});

/** A thread that cannot come home must do nothing more: that one error is thrown, and ends it. */
class Stranded extends Error {}

function answer(request: NamespaceRequest): NamespaceAnswer {
  const { id } = request;
  try {
    return { id, result: perform(request) };
  } catch (error) {
    if (error instanceof Stranded) throw error;
    if (!(error instanceof SysError)) return { id, error: (error as Error).message };
    const { message, syscall: name, errno, what } = error;
    return { id, error: message, system: { syscall: name, errno, what } };
  }
}

function perform(request: NamespaceRequest): NamespaceResults[keyof NamespaceResults] {
  switch (request.do) {
    case 'graft':
      return graft(request);
    case 'bind-node': {
      const { pid, tree, name, owner, former } = request;
      return inRoot(pid, (root) => bindNode(root, { directory: 'dev', name }, tree, owner, former, inside(pid)));
    }
    case 'unbind-node': {
      const { pid, name, device, placeholder } = request;
      inRoot(pid, (root) => unbindNode(root, { directory: 'dev', name }, device, placeholder, inside(pid)));
      return undefined;
    }
    case 'find':
      return inRoot(request.pid, (root) => request.paths.map((path) => findInRoot(root, path)));
    case 'read-file':
      return inRoot(request.pid, (root) => readInRoot(root, request.path, request.limit));
    case 'list-directory':
      return inRoot(request.pid, (root) => listInRoot(root, request.path, request.limit));
    case 'unmount':
      inside(request.pid)(() => {
        for (const target of request.targets) unmount(target);
      });
      return undefined;
    case 'uevent-socket':
      return within(`/proc/${request.pid}/ns/net`, flags.network, own.network, () =>
        // AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_KOBJECT_UEVENT (netlink(7))
        syscall('socket', 'netlink', 16, 3 | 0o2000000, 15),
      );
  }
}

/** Finds or makes the targets from outside, following no link of the container's, and attaches the trees inside. */
function graft({ pid, owner, mounts }: Extract<NamespaceRequest, { do: 'graft' }>): string[][] {
  return inRoot(pid, (root) => {
    const targets: number[] = [];
    try {
      const covers = mounts.map(({ target }) => {
        mkdirInRoot(root, target, 0o755, owner);
        const directory = openInRoot(root, target);
        targets.push(directory);
        return listDirectory(directory);
      });
      inside(pid)(() => {
        for (const [index, { tree }] of mounts.entries()) moveMount(tree, targets[index] ?? -1);
      });
      return covers;
    } finally {
      for (const fd of targets) closeSync(fd);
    }
  });
}

function inRoot<T>(pid: number, action: (root: number) => T): T {
  const root = openRoot(pid);
  try {
    return action(root);
  } finally {
    closeSync(root);
  }
}

/** Runs something in the mount namespace of a process. */
const inside =
  (pid: number) =>
  (action: () => void): void =>
    within(`/proc/${pid}/ns/mnt`, flags.mount, own.mount, action);

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
