import { readFileSync } from 'node:fs';
import { Btf } from './btf.js';

/** Every structure and function of the kernel's that a program of ours reads or hangs on. */
const names = [
  ...['device', 'task_struct', 'signal_struct', 'rw_semaphore', 'bpf_iter_task', 'nsproxy', 'ns_common', 'net'],
  ...['cgroup_namespace', 'user_namespace', 'pid_namespace', 'cred', 'pid', 'upid', 'mm_struct', 'file'],
  ...['fs_struct', 'path', 'dentry', 'qstr', 'inode', 'security_file_ioctl', 'security_file_ioctl_compat'],
  ...['css_set', 'cgroup', 'kernfs_node'],
  ...['bpf_iter_task_file', 'socket', 'sock', 'sock_common', 'sk_buff_head', 'unix_sock', 'scm_stat'],
];

let known: Btf | undefined;

/** The running kernel's own description of these, read once. Throws when this kernel has none. */
export function vmlinux(): Btf {
  known ??= new Btf(readFileSync('/sys/kernel/btf/vmlinux'), names);
  return known;
}
