import { closeSync, constants, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { NodeClass } from '../core/device.js';
import { Links } from '../core/links.js';
import { nodeKey } from '../core/state.js';
import type { LinkSpec, NodeSpec, RecordSpec } from '../core/step.js';
import { isSysError, SysError } from '../kernel/errors.js';
import {
  type EntryStat,
  listDirectory,
  makeLink,
  makeNode,
  mkdirAt,
  moveTo,
  openAt,
  permitSocket,
  type Removals,
  readLinkAt,
  removals,
  removeAt,
  removeEmpty,
  retireBelow,
  type SocketStat,
  socketAt,
  statAt,
  writeFileAt,
} from '../kernel/fs.js';
import { mountPoints, mountTmpfs, openTree, setReadOnly, unmount } from '../kernel/mount.js';
import { readAtMost } from '../kernel/read.js';
import { nodeClasses, seatRoot } from './layout.js';

/** The contents of a seat directory. */
export interface Contents {
  readonly nodes: Map<string, NodeSpec>;
  readonly links: Links;
  readonly records: Map<string, string>;
}

/** Directories of stable names, beside the nodes that they lead to. */
const linkDirectories: readonly string[] = ['by-id', 'by-path'];

/** Sockets of the holder that a seat sees: `/dev/dri/hotseat` for leases, `/dev/input/seatd.sock` for devices. */
const sockets = {
  lease: { class: 'dri', name: 'hotseat' },
  seatd: { class: 'input', name: 'seatd.sock' },
} as const satisfies Record<string, { readonly class: NodeClass; readonly name: string }>;
export type SeatSocketName = keyof typeof sockets;

const isName = (entry: string, stat: EntryStat | undefined): boolean =>
  cardName.test(entry) && stat?.type === 'file' && stat.size === 0 && (stat.mode & 0o7777) === 0 && stat.uid === 0;

const isOurSocket = (at: NodeClass, name: string): boolean =>
  Object.values(sockets).some((socket) => socket.class === at && socket.name === name);

/** The name that a graphics card has in `/dev/dri`. */
const cardName = /^card\d{1,4}$/;

/** A record is a few hundred bytes; anything larger in there is not ours. */
const largestRecord = 64 * 1024;

/**
 * The host-owned tree of one seat: `dev/{input,snd,dri,hidraw,plain}` and `udev/{control,data,tags}` on a tmpfs of its own,
 * limited and without `nodev`. A privileged container can remount its view read-write and put things in: every write
 * here goes through descriptors opened before, with O_EXCL and O_NOFOLLOW, and everything that is read back is checked,
 * never believed.
 */
export class SeatDirectory {
  private readonly open: OpenTree;
  /** Cards of which the container sees the names alone; undefined until `nameCards` says so. */
  private named: ReadonlySet<string> | undefined;
  readonly path: string;
  /** Why the tree that was there before was set aside; undefined when it serves on, or there was none. */
  readonly setAside: string | undefined;

  /**
   * Throws a SysError only when the host cannot mount a fresh tree either. Without a mount of its own, nobody can be shown it.
   */
  constructor(
    readonly seat: string,
    { path = seatRoot(seat), isMount = true }: { readonly path?: string; readonly isMount?: boolean } = {},
  ) {
    this.path = path;
    mkdirSync(path, { recursive: true, mode: 0o755 });
    const former = isMount && mountPoints('self').some((mount) => mount.target === path);
    if (isMount && !former) mountFresh(path);
    try {
      this.open = openTrees(this.path);
    } catch (error) {
      if (!former) throw error;
      // The container has spoilt it beyond use: it left no room, for example. Its grafts stay with it.
      this.setAside = (error as Error).message;
      putAway(this.path);
      mountFresh(this.path);
      this.open = openTrees(this.path);
    }
  }

  private get data(): number {
    return this.open.data;
  }

  private get tags(): number {
    return this.open.tags;
  }

  makeNode(node: NodeSpec): void {
    const { major, minor } = node.number;
    makeNode(this.classFd(node.class), node.name, { major, minor, uid: node.uid, gid: node.gid, mode: node.mode });
  }

  /** A node as a detached mount of its own, read-only; the caller closes it. */
  openNode({ class: name, name: node }: NodeSpec): number {
    const tree = openTree(node, this.classFd(name));
    setReadOnly(tree);
    return tree;
  }

  /** Leads one directory up to the node, which is beside the directory that the link is in. */
  makeLink({ class: name, name: path, node }: LinkSpec): void {
    this.within(name, path, (directory, link) => makeLink(directory, link, `../${node}`));
  }

  /** Where the holder makes a socket; no container sees this place. */
  draftOf(socket: SeatSocketName): string {
    return join(this.path, sockets[socket].name);
  }

  /** A socket as the container sees it. */
  socket(socket: SeatSocketName): SocketStat | undefined {
    return this.atSocket(socket, socketAt);
  }

  /** Has the container see a socket that the holder has made. `owner`: who may connect, from the first moment. */
  showSocket(socket: SeatSocketName, owner: Omit<SocketStat, 'inode'>): void {
    const root = openAt(undefined, this.path);
    try {
      permitSocket(root, sockets[socket].name, owner);
    } finally {
      closeSync(root);
    }
    this.atSocket(socket, (at, name) => moveTo(this.draftOf(socket), at, name));
  }

  permitSocket(socket: SeatSocketName, owner: Omit<SocketStat, 'inode'>): void {
    this.atSocket(socket, (at, name) => permitSocket(at, name, owner));
  }

  hideSocket(socket: SeatSocketName): void {
    this.atSocket(socket, removeAt);
  }

  /**
   * Has the container see an empty file of mode 0 in the place of each of these cards' nodes, and of no others.
   * libdrm tells the kind of a leased descriptor by whether the name of the node is there (xf86drm.c, drmGetNodeTypeFromFd).
   */
  nameCards(names: ReadonlySet<string>): void {
    const dri = this.classFd('dri');
    this.named = names;
    for (const name of names) if (statAt(dri, name) === undefined) writeFileAt(dri, name, '', 0);
    for (const entry of namesIn(dri)) if (!names.has(entry) && isName(entry, statAt(dri, entry))) removeAt(dri, entry);
  }

  private isNamed(at: NodeClass, entry: string, stat: EntryStat): boolean {
    return at === 'dri' && isName(entry, stat) && this.named?.has(entry) !== false;
  }

  private atSocket<T>(socket: SeatSocketName, action: (directory: number, name: string) => T): T {
    const { class: at, name } = sockets[socket];
    return action(this.classFd(at), name);
  }

  /** Removes a node, or a link by its name one directory deep; with the last link its directory goes. */
  removeNode(name: NodeClass, path: string): void {
    this.within(name, path, removeAt);
    const [directory, link] = path.split('/');
    if (directory !== undefined && link !== undefined) removeEmpty(this.classFd(name), directory);
  }

  writeRecord(record: RecordSpec): void {
    writeFileAt(this.data, record.id, record.text, 0o644);
    for (const tag of record.tags) {
      const directory = openDirectory(this.tags, tag);
      try {
        writeFileAt(directory, record.id, '', 0o644);
      } finally {
        closeSync(directory);
      }
    }
  }

  removeRecord(id: string): void {
    const left = removals();
    removeAt(this.data, id, left);
    for (const tag of namesIn(this.tags)) {
      let directory: number;
      try {
        directory = openAt(this.tags, tag);
      } catch (error) {
        if (isSysError(error, 'ENOTDIR', 'ELOOP', 'ENOENT')) continue;
        throw error;
      }
      try {
        removeAt(directory, id, left);
      } finally {
        closeSync(directory);
      }
    }
  }

  /**
   * The present contents. Every entry that is no character device, no link of ours and no small plain file is removed
   * at sight. Where the container prevents that, the entry stays.
   */
  read(): Contents {
    const nodes = new Map<string, NodeSpec>();
    const links = new Links();
    const left = removals();
    for (const [name, fd] of this.open.classes) {
      for (const entry of namesIn(fd)) {
        // The server of that socket looks after it.
        if (isOurSocket(name, entry) && socketAt(fd, entry) !== undefined) continue;
        const stat = statAt(fd, entry);
        if (stat === undefined) continue;
        if (stat.type === 'directory' && linkDirectories.includes(entry)) {
          for (const link of this.readLinks(name, entry, left)) links.put(link);
          continue;
        }
        if (this.isNamed(name, entry, stat)) continue;
        if (stat.type !== 'character' || entry.startsWith('.')) {
          clear(fd, entry, left);
          continue;
        }
        const node: NodeSpec = {
          class: name,
          name: entry,
          number: { major: stat.major, minor: stat.minor },
          uid: stat.uid,
          gid: stat.gid,
          mode: stat.mode & 0o7777,
        };
        nodes.set(nodeKey(node), node);
      }
    }
    const records = new Map<string, string>();
    for (const entry of namesIn(this.data)) {
      const text = this.recordText(entry);
      if (text === undefined || entry.startsWith('.')) clear(this.data, entry, left);
      else records.set(entry, text);
    }
    return { nodes, links, records };
  }

  private readLinks(name: NodeClass, directory: string, left: Removals): LinkSpec[] {
    const fd = openAt(this.classFd(name), directory);
    try {
      return namesIn(fd).flatMap((entry) => {
        const node = /^\.\.\/([A-Za-z]\w*)$/.exec(readLinkAt(fd, entry) ?? '')?.[1];
        if (node !== undefined) return [{ class: name, name: `${directory}/${entry}`, node }];
        clear(fd, entry, left);
        return [];
      });
    } finally {
      closeSync(fd);
    }
  }

  /** Does something in the directory that a path of one or two parts leads to; a missing one is made. */
  private within(name: NodeClass, path: string, action: (directory: number, entry: string) => void): void {
    const [first = '', second] = path.split('/');
    if (second === undefined) {
      action(this.classFd(name), first);
      return;
    }
    const fd = openDirectory(this.classFd(name), first);
    try {
      action(fd, second);
    } finally {
      closeSync(fd);
    }
  }

  close(): void {
    for (const fd of [...this.open.classes.values(), this.data, this.tags]) closeSync(fd);
  }

  private recordText(name: string): string | undefined {
    const stat = statAt(this.data, name);
    if (stat === undefined || stat.type !== 'file') return undefined;
    const fd = openAt(this.data, name, constants.O_RDONLY | constants.O_NONBLOCK);
    try {
      return readAtMost(fd, largestRecord)?.toString('utf8');
    } finally {
      closeSync(fd);
    }
  }

  private classFd(name: NodeClass): number {
    const fd = this.open.classes.get(name);
    if (fd === undefined) throw new Error(`no directory for ${name}`);
    return fd;
  }
}

/** Descriptors of the directories that are written to. */
interface OpenTree {
  readonly classes: ReadonlyMap<NodeClass, number>;
  readonly data: number;
  readonly tags: number;
}

/** Unmounts a seat's tree. Containers and processes on the host can still see it, so none of its nodes may open anything. */
export function putAway(path: string): void {
  const root = openAt(undefined, path);
  try {
    retireBelow(root);
  } finally {
    closeSync(root);
  }
  unmount(path);
}

const mountFresh = (path: string): void => mountTmpfs(path, { size: '4m', inodes: 4096, mode: 0o755 });

/** Opens a seat's directories, and makes missing ones. Throws, with nothing left open, when that cannot be done. */
function openTrees(path: string): OpenTree {
  const opened: number[] = [];
  const directory = (parent: number, name: string): number => {
    const fd = openDirectory(parent, name);
    opened.push(fd);
    return fd;
  };
  try {
    const root = openAt(undefined, path);
    opened.push(root);
    const [dev, udev] = [directory(root, 'dev'), directory(root, 'udev')];
    const classes = new Map(nodeClasses.map((name) => [name, directory(dev, name)]));
    const [data, tags] = [directory(udev, 'data'), directory(udev, 'tags')];
    // libudev asks once, when a client starts, whether this exists (consumer: device_monitor_new_full).
    // A link in its place would lead on in the host's own tree.
    if (statAt(udev, 'control')?.type !== 'file') writeFileAt(udev, 'control', '', 0o600);
    for (const fd of [root, dev, udev]) closeSync(fd);
    return { classes, data, tags };
  } catch (error) {
    for (const fd of opened) closeSync(fd);
    throw error;
  }
}

/** Opens a directory of ours; a missing one is made, and replaces anything else of its name. */
function openDirectory(parent: number, name: string): number {
  mkdirAt(parent, name, 0o755);
  try {
    return openAt(parent, name);
  } catch (error) {
    if (!isSysError(error, 'ENOTDIR', 'ELOOP')) throw error;
    removeAt(parent, name);
    mkdirAt(parent, name, 0o755);
    return openAt(parent, name);
  }
}

/** Names that can be ours. A name that is no UTF-8 cannot even be printed. */
const namesIn = (directory: number): string[] => listDirectory(directory).filter((name) => !name.includes('\ufffd'));

/**
 * Removes entries that are not ours, if the container lets us: it can make its directories immutable, or fill them
 * meanwhile. Entries of which there are too many wait for the next time.
 */
function clear(directory: number, name: string, left: Removals): void {
  if (left.entries <= 0) return;
  try {
    removeAt(directory, name, left);
  } catch (error) {
    if (!(error instanceof SysError)) throw error;
  }
}
