import { readlinkSync } from 'node:fs';
import { basename } from 'node:path';
import type { Container } from '../engines/engine.js';
import { mostProcesses, pidsBelow } from '../engines/process.js';
import { factOf } from '../kernel/facts.js';
import { isHeldAt } from '../kernel/held.js';
import type { Namespaces } from '../kernel/namespaces.js';
import type { ProcessRef } from '../kernel/process-key.js';
import { readOptional } from '../kernel/read.js';
import { pidNamespaceOf } from '../kernel/user-namespace.js';

/**
 * The udev of a container. `ours`: its database is grafted, and announcements are the messages of a udevd. `own`: it
 * runs a udevd, which has a database of its own and gets messages as from the kernel. `coming`: it is about to start
 * one, and a grafted database would be in its way.
 */
export type UdevWay = 'ours' | 'own' | 'coming';

/** A udevd by its process: systemd's, its workers, and eudev's. */
export const isUdevd = (command: string): boolean => /^(systemd-udevd|\(udev-worker\)|udevd)$/.test(command);

/** Whether a udevd runs in a container: in its very pid namespace, not in a container in there, nor behind thousands of others. */
export function runsUdevd({ pid: init, cgroup }: Pick<Container, 'pid' | 'cgroup'>): boolean {
  const namespace = pidNamespaceOf(init);
  return pidsBelow(cgroup, mostProcesses).some(
    (pid) => isUdevd((readOptional(`/proc/${pid}/comm`) ?? '').trim()) && pidNamespaceOf(pid) === namespace,
  );
}

/** Programs that start installed services. Any other init runs only its own command. */
const managers = /^(systemd|init|openrc-init|runit|s6-svscan|busybox)$/;

const programs = ['usr/lib/systemd/systemd-udevd', 'lib/systemd/systemd-udevd', 'usr/sbin/udevd', 'sbin/udevd'];
const mask = 'etc/systemd/system/systemd-udevd.service';

/**
 * Whether a container will run a udevd of its own, as far as it can be told before it does: systemd's starts where /sys
 * can be written to (systemd-udevd.service, ConditionPathIsReadWrite=), and unless it is masked.
 */
export async function willRunUdevd(
  namespaces: Pick<Namespaces, 'find' | 'mounts'>,
  init: ProcessRef,
): Promise<boolean> {
  const sys = (await namespaces.mounts(init, { targets: ['/sys'] })).at(-1);
  if (sys === undefined || sys.readOnly || !managers.test(programNameOf(init.pid) ?? '')) return false;
  const [masked, ...found] = await namespaces.find(init, [mask, ...programs]);
  return masked !== 'masked' && found.includes('there');
}

const programNameOf = (pid: number): string | undefined =>
  factOf(
    pid,
    ({ programName }) => programName,
    () => (isHeldAt(`/proc/${pid}/exe`) ? undefined : basename(readlinkSync(`/proc/${pid}/exe`))),
  );
