import { readUpTo } from '../kernel/read.js';

/** Longest table that is looked at, bytes: 100 a socket, and everybody can have thousands. */
const longest = 256 * 1024;

/** Undefined when it is too long to be looked at. */
function tableNow(): string | undefined {
  try {
    return readUpTo('/proc/self/net/netlink', longest) ?? '';
  } catch {
    return undefined;
  }
}

/**
 * Whether anybody takes the kernel's own messages: a netlink socket of family 15 in group 1 (NETLINK_KOBJECT_UEVENT), which
 * udevd has. Without one nothing that is plugged is heard of. Where that cannot be told, it is taken to be there. `table`:
 * /proc/net/netlink, see netlink(7) and af_netlink.c.
 */
export function isUdevdThere(table = tableNow()): boolean {
  if (table === undefined) return true;
  return table.split('\n').some((line) => {
    const [, family, , groups = '0'] = line.trim().split(/\s+/);
    return family === '15' && (Number.parseInt(groups, 16) & 1) === 1;
  });
}
