import { readFileSync } from 'node:fs';
import { release, version } from 'node:os';
import { Btf, type KernelTypes, typesIn } from './btf.js';
import { readOptional } from './read.js';
import { replaceFile } from './replace-file.js';

/** Every structure and function of the kernel's that a program of ours reads or hangs on. */
const names = [
  ...['device', 'task_struct', 'signal_struct', 'rw_semaphore', 'bpf_iter_task', 'nsproxy', 'ns_common', 'net'],
  ...['cgroup_namespace', 'user_namespace', 'pid_namespace', 'cred', 'pid', 'upid', 'mm_struct', 'file'],
  ...['fs_struct', 'path', 'dentry', 'qstr', 'inode', 'security_file_ioctl', 'security_file_ioctl_compat'],
  ...['css_set', 'cgroup', 'kernfs_node'],
  ...['bpf_iter_task_file', 'socket', 'sock', 'sock_common', 'sk_buff_head', 'unix_sock', 'scm_stat'],
];

/** For later starts during this boot, and for helpers: to find these takes a seventh of the time of a start. */
const record = '/run/hotseat/kernel-types.json';

let known: Btf | undefined;

/** The running kernel's own description of these, read once. Throws when this kernel has none. */
export function vmlinux(): Btf {
  known ??= new Btf(keptTypes(record, () => typesIn(readFileSync('/sys/kernel/btf/vmlinux'), names)));
  return known;
}

interface Kept {
  /** The kernel and the names for which it was written. */
  readonly key: string;
  readonly types: KernelTypes;
}

/**
 * The types in a file that root alone can read, or those of `find` where it has none of this kernel and of these names. They are kept then,
 * if this process may write there.
 */
export function keptTypes(file: string, find: () => KernelTypes, kernel = `${release()} ${version()}`): KernelTypes {
  const key = [kernel, ...names].join('\n');
  const kept = recordIn(readOptional(file));
  if (kept?.key === key) return kept.types;
  const types = find();
  try {
    replaceFile(file, JSON.stringify({ key, types } satisfies Kept));
  } catch {
    // There is no agent, or this is a verb of somebody else's.
  }
  return types;
}

function recordIn(text: string | undefined): Kept | undefined {
  try {
    const read: unknown = JSON.parse(text ?? '');
    return isRecord(read) ? read : undefined;
  } catch {
    return undefined;
  }
}

const isTable = (value: unknown): value is object =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
const isNumbers = (value: unknown): boolean =>
  isTable(value) && Object.values(value).every((number) => typeof number === 'number');

function isRecord(value: unknown): value is Kept {
  if (!isTable(value) || !('key' in value) || !('types' in value) || !isTable(value.types)) return false;
  const { types } = value;
  if (!('structures' in types) || !('functions' in types) || !isTable(types.structures)) return false;
  const layouts: unknown[] = Object.values(types.structures);
  return isNumbers(types.functions) && layouts.every((list) => Array.isArray(list) && list.every(isNumbers));
}
