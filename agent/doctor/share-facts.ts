import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { resourceNames } from '../core/policy.js';
import { cgroupRoot, devicesRootV1 } from '../kernel/cgroup.js';
import { readGroup } from '../kernel/group-files.js';
import { namesIn, readOptional } from '../kernel/read.js';
import { available } from '../shares/host.js';
import type { ShareFacts } from './facts.js';

/** The resources that this host can divide among seats; undefined where there is no cgroup2 hierarchy. */
export function shareFacts(): ShareFacts | undefined {
  let root: string;
  try {
    root = cgroupRoot();
  } catch {
    return undefined;
  }
  const divided = available(root);
  const costs = readGroup(root, '', ['io.cost.qos'])?.texts.get('io.cost.qos') ?? '';
  const disks = namesIn('/sys/block').map((name) => readOptional(join('/sys/block', name, 'queue/scheduler')) ?? '');
  return {
    missing: resourceNames.filter((name) => !divided.has(name)),
    hybrid: devicesRootV1() !== undefined,
    pressure: existsSync('/proc/pressure/cpu'),
    keepsUsedMs: keepsUsedMs(),
    diskWeights: /\benable=1\b/.test(costs) || disks.some((text) => text.includes('[bfq]')),
  };
}

/** Documentation/admin-guide/mm/multigen_lru.rst; absent where that is not built in or is off. */
function keepsUsedMs(directory = '/sys/kernel/mm/lru_gen'): number | undefined {
  const isOn = Number(readOptional(join(directory, 'enabled')) ?? 0) % 2 === 1;
  const text = isOn ? readOptional(join(directory, 'min_ttl_ms')) : undefined;
  return text === undefined ? undefined : Number(text);
}
