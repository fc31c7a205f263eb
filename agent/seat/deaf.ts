import { mostProcesses, pidsBelow } from '../engines/process.js';
import { namespacePids } from '../kernel/pidfd.js';
import { readOptional, readUpTo } from '../kernel/read.js';
import { isUdevd } from './own-udev.js';

/**
 * Names of processes in a container whose udev monitor hears nothing: libudev looks for `/run/udev/control` once, when
 * a monitor is made, and joins no multicast group without it. Such a socket shows as `Groups 00000000` of protocol 15
 * (NETLINK_KOBJECT_UEVENT) in the container's /proc/net/netlink; its port id is the pid inside.
 */
export function deafMonitors(init: number, cgroup: string): string[] {
  const table = tableOf(init);
  const ports = new Set<string>();
  for (const line of table.split('\n').slice(1)) {
    const [, protocol, port, groups] = line.trim().split(/\s+/);
    if (protocol === '15' && groups === '00000000' && port !== undefined && port !== '0' && port !== '1')
      ports.add(port);
  }
  if (ports.size === 0) return [];
  return pidsBelow(cgroup, mostProcesses).flatMap((pid) => {
    const inside = namespacePids(pid)?.at(-1);
    if (inside === undefined || !ports.has(String(inside))) return [];
    const command = (readOptional(`/proc/${pid}/comm`) ?? '').trim();
    // The socket with which a udevd sends listens to nothing either.
    return isUdevd(command) ? [] : [`${command} (pid ${inside})`];
  });
}

/** Longest table that is looked at, bytes: 100 a socket. */
const longest = 256 * 1024;

/** Of a container with more sockets than that, no deaf process is reported. */
function tableOf(init: number): string {
  try {
    return readUpTo(`/proc/${init}/net/netlink`, longest) ?? '';
  } catch {
    return '';
  }
}
