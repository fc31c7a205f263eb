import { readFileSync } from 'node:fs';

/** Pids of a process's children (proc_pid_task_tid_children(5)). */
export const childrenOf = (pid: number | undefined): number[] =>
  (readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').match(/\d+/g) ?? []).map(Number);

/** Of these, the agent's helpers. */
export const helpersOf = (pid: number | undefined): number[] =>
  childrenOf(pid).filter((child) => readFileSync(`/proc/${child}/cmdline`, 'utf8').includes('helper.js'));
