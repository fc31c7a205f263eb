import { closeSync, constants, openSync } from 'node:fs';
import { parentPort } from 'node:worker_threads';
import { syscall } from './libc.js';
import { moveMount } from './mount.js';

/** What the main thread may ask of this one. */
export type NamespaceRequest = { readonly id: number } & (
  | { readonly do: 'move-mounts'; readonly pid: number; readonly mounts: readonly { tree: number; target: number }[] }
  | { readonly do: 'uevent-socket'; readonly pid: number }
);

export type NamespaceAnswer = { readonly id: number } & ({ readonly result: number } | { readonly error: string });

const flags = { fs: 0x200, mount: 0x20000, network: 0x40000000 }; // CLONE_FS, CLONE_NEWNS, CLONE_NEWNET
const port = parentPort;
if (port === null) throw new Error('namespace-worker runs as a worker thread only');

// setns(2) into a mount namespace is refused while threads share file-system state (man 2 setns, EINVAL).
syscall('unshare', 'file-system state of this thread', flags.fs);
const own = { mount: open('/proc/thread-self/ns/mnt'), network: open('/proc/thread-self/ns/net') };

port.postMessage('ready');
port.on('message', (request: NamespaceRequest) => {
  try {
    port.postMessage({ id: request.id, result: perform(request) } satisfies NamespaceAnswer);
  } catch (error) {
    port.postMessage({ id: request.id, error: (error as Error).message } satisfies NamespaceAnswer);
  }
});

function perform(request: NamespaceRequest): number {
  switch (request.do) {
    case 'move-mounts':
      return within(`/proc/${request.pid}/ns/mnt`, flags.mount, own.mount, () => {
        for (const { tree, target } of request.mounts) moveMount(tree, target);
        return request.mounts.length;
      });
    case 'uevent-socket':
      return within(`/proc/${request.pid}/ns/net`, flags.network, own.network, () =>
        // AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_KOBJECT_UEVENT (netlink(7))
        syscall('socket', 'netlink', 16, 3 | 0o2000000, 15),
      );
  }
}

/** Runs something in another namespace. Only system calls that were bound before run there; nothing is loaded. */
function within(path: string, kind: number, home: number, action: () => number): number {
  const namespace = open(path);
  try {
    syscall('setns', path, namespace, kind);
    try {
      return action();
    } finally {
      syscall('setns', 'our own namespace', home, kind);
    }
  } finally {
    closeSync(namespace);
  }
}

function open(path: string): number {
  return openSync(path, constants.O_RDONLY);
}
