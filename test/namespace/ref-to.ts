import { type ProcessRef, processRef } from '../../agent/kernel/process-key.js';

/** The process that has a pid now, which there must be. */
export function refTo(pid: number | undefined): ProcessRef {
  const process = processRef(pid ?? 0);
  if (process === undefined) throw new Error(`there is no process ${pid}`);
  return process;
}
