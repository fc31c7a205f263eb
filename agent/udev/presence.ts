import { readOptional } from '../kernel/read.js';

/**
 * Whether anybody takes the kernel's own messages: a netlink socket of family 15 in group 1 (NETLINK_KOBJECT_UEVENT), which
 * udevd has. Without one nothing that is plugged is heard of. `table`: /proc/net/netlink, see netlink(7) and af_netlink.c.
 */
export function isUdevdThere(table = readOptional('/proc/self/net/netlink') ?? ''): boolean {
  return table.split('\n').some((line) => {
    const [, family, , groups = '0'] = line.trim().split(/\s+/);
    return family === '15' && (Number.parseInt(groups, 16) & 1) === 1;
  });
}
