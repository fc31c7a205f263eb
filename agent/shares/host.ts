// The resources that this host can divide at all.

import { type Resource, resourceNames } from '../core/policy.js';
import { devicesRootV1, unifiedRemedy } from '../kernel/cgroup.js';
import { readGroup } from '../kernel/group-files.js';
import { readOptional } from '../kernel/read.js';

/**
 * The resources that the unified hierarchy divides: a controller that cgroups v1 have is not there (cgroup-v2.rst,
 * cgroup.controllers).
 */
export function available(root: string): Set<Resource> {
  const there = readGroup(root, '', ['cgroup.controllers'])?.texts.get('cgroup.controllers') ?? '';
  const controllers = there.trim().split(' ');
  return new Set(resourceNames.filter((name) => controllers.includes(name)));
}

/** Why a resource is not available, and the remedy. */
export const notAvailable = (name: Resource): string =>
  devicesRootV1() === undefined
    ? `${name} cannot be divided: the hierarchy of cgroups has no ${name} controller`
    : `${name} cannot be divided while it is a controller of cgroups v1: ${unifiedRemedy}`;

/** How many processes and threads there can be (proc_sys_kernel(5), pid_max and threads-max). */
export const mostThreads = (): number =>
  Math.min(...['pid_max', 'threads-max'].map((name) => Number(readOptional(`/proc/sys/kernel/${name}`) ?? 32_768)));
