import { closeSync, fstatSync, openSync } from 'node:fs';
import { factOf } from './facts.js';
import { isHeldAt } from './held.js';
import { syscall } from './libc.js';
import { inodeOf } from './read.js';

/** _IO(0xb7, 1): a descriptor of the user namespace that owns a namespace (ioctl_ns(2), linux/nsfs.h). */
const NS_GET_USERNS = 0xb701;

/** Inode of the user namespace that a process is in now; undefined when the process has gone. */
export const userNamespaceOf = (pid: number): bigint | undefined =>
  factOf(
    pid,
    (facts) => facts.userNamespace,
    () => namespaceAt(`/proc/${pid}/ns/user`),
  );

/** Inode of the pid namespace that a process is in; undefined when the process has gone. */
export const pidNamespaceOf = (pid: number): bigint | undefined =>
  factOf(
    pid,
    (facts) => facts.pidNamespace,
    () => namespaceAt(`/proc/${pid}/ns/pid`),
  );

const namespaceAt = (path: string): bigint | undefined => (isHeldAt(path) ? undefined : inodeOf(path));

/**
 * Inode of the user namespace that owns the pid namespace of a process; undefined when the process has gone. A process can
 * leave its user namespace (unshare(2)), but never its pid namespace.
 */
export const ownerOfPidNamespace = (pid: number): bigint | undefined =>
  factOf(
    pid,
    (facts) => facts.pidNamespaceOwner,
    () => askOwner(pid),
  );

function askOwner(pid: number): bigint | undefined {
  let namespace: number | undefined;
  let owner: number | undefined;
  try {
    if (isHeldAt(`/proc/${pid}/ns/pid`)) return undefined;
    namespace = openSync(`/proc/${pid}/ns/pid`, 'r');
    owner = syscall('ioctl', `the owner of ns/pid of process ${pid}`, namespace, NS_GET_USERNS);
    return fstatSync(owner, { bigint: true }).ino;
  } catch {
    return undefined;
  } finally {
    for (const fd of [namespace, owner]) if (fd !== undefined) closeSync(fd);
  }
}
