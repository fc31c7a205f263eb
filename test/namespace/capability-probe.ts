// Actions of the agent that the kernel refuses without a certain capability: `capability-probe.js PLACE NAME...` does
// it and says for each name `ok`, or how it was refused. Run by systemd-capabilities.test.ts under the unit's bounding
// set.

import { closeSync, mkdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { freeze, thaw } from '../../agent/kernel/cgroup.js';
import { makeNode, openAt, openRoot, unlinkAt } from '../../agent/kernel/fs.js';
import { mountTmpfs, openTree, unmount } from '../../agent/kernel/mount.js';
import { Namespaces } from '../../agent/kernel/namespaces.js';
import { sendUevent } from '../../agent/kernel/netlink.js';
import { getKeyboardMode, openConsole, setKeyboardMode } from '../../agent/kernel/vt.js';
import { encode } from '../../agent/udev/datagram.js';
import { refTo } from './ref-to.js';

/** The files that the test has made for the probes. */
export interface Place {
  /** A directory to work in. */
  readonly scratch: string;
  /** A process of a privileged container: root's, with all capabilities, in namespaces of its own. */
  readonly container: number;
  /** A cgroup that belongs to an ordinary user, as a rootless engine's does. */
  readonly cgroup: string;
  /** A directory that a hostile container made sticky and somebody else's, with the file `theirs` of a third one. */
  readonly sticky: string;
  /** Its root on the host, as an unprivileged container's is. */
  readonly shifted: number;
}

const namespaces = new Namespaces();
const self = { uid: 0, gid: 0 };
const null1 = { major: 1, minor: 3, mode: 0o660 };

async function speak({ container }: Place, credentials: { uid: number; gid: number }): Promise<void> {
  const socket = await namespaces.openUeventSocket(refTo(container));
  try {
    sendUevent(socket, encode('add', { DEVPATH: '/devices/none', SUBSYSTEM: 'mem', SEQNUM: '1' }, []), credentials);
  } finally {
    closeSync(socket);
  }
}

function node({ scratch }: Place, owner: { uid: number; gid: number }): void {
  const directory = openAt(undefined, scratch);
  makeNode(directory, 'null', { ...null1, ...owner });
  closeSync(directory);
}

/** By capability, something of the agent's that needs it. */
export const probes: Readonly<Record<string, (place: Place) => void | Promise<void>>> = {
  SYS_ADMIN: ({ scratch }) => {
    const target = join(scratch, `tmpfs-${process.pid}`);
    mkdirSync(target);
    mountTmpfs(target, { size: '1m', inodes: 10, mode: 0o755 });
    unmount(target);
  },
  SYS_CHROOT: async ({ scratch, container }) => {
    const tree = openTree(scratch);
    try {
      await namespaces.graft({ process: refTo(container), owner: self, mounts: [{ tree, target: 'run/graft' }] });
    } finally {
      closeSync(tree);
    }
  },
  SYS_RESOURCE: ({ container }) => writeFileSync(`/proc/${container}/oom_score_adj`, '-1'),
  SYS_PTRACE: ({ container }) => closeSync(openRoot(`/proc/${container}`)),
  NET_ADMIN: (place) => speak(place, self),
  SETUID: (place) => speak(place, { uid: place.shifted, gid: 0 }),
  SETGID: (place) => speak(place, { uid: 0, gid: place.shifted }),
  MKNOD: (place) => node(place, self),
  CHOWN: (place) => node(place, { uid: place.shifted, gid: place.shifted }),
  FOWNER: ({ sticky }) => {
    const directory = openAt(undefined, sticky);
    unlinkAt(directory, 'theirs');
    closeSync(directory);
    if (statSync(join(sticky, 'theirs'), { throwIfNoEntry: false }) !== undefined) throw new Error('it is still there');
  },
  DAC_OVERRIDE: async ({ cgroup }) => {
    await freeze(cgroup, { timeoutMs: 2000 });
    await thaw(cgroup, { timeoutMs: 2000 });
  },
  SYS_TTY_CONFIG: () => {
    const console = openConsole(1);
    setKeyboardMode(console, getKeyboardMode(console));
    closeSync(console);
  },
};

async function main([place = '', ...names]: readonly string[]): Promise<void> {
  for (const name of names) {
    try {
      await probes[name]?.(JSON.parse(place) as Place);
      console.log(`${name} ok`);
    } catch (error) {
      console.log(`${name} ${(error as { code?: string }).code ?? 'failed'}: ${(error as Error).message}`);
    }
  }
  namespaces.close();
}

if (process.argv[1] === import.meta.filename) await main(process.argv.slice(2));
