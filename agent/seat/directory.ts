import { closeSync, constants, existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { NodeClass } from '../core/device.js';
import { nodeKey } from '../core/state.js';
import type { NodeSpec, RecordSpec } from '../core/step.js';
import { listDirectory, makeNode, mkdirAt, openAt, statAt, unlinkAt, writeFileAt } from '../kernel/fs.js';
import { mountPoints, mountTmpfs } from '../kernel/mount.js';
import { nodeClasses, seatRoot } from './layout.js';

/** A record is a few hundred bytes; anything larger in there is not ours. */
const largestRecord = 64 * 1024;

/**
 * The host-owned tree of one seat: `dev/{input,snd,dri}` and `udev/{control,data,tags}` on a tmpfs of its own, limited
 * and without `nodev`. A privileged container can remount its view read-write and put things in: every write here goes
 * through descriptors opened before, with O_EXCL and O_NOFOLLOW, and what is read back is checked, never believed.
 */
export class SeatDirectory {
  private readonly classes: ReadonlyMap<NodeClass, number>;
  private readonly data: number;
  private readonly tags: number;
  readonly path: string;

  constructor(readonly seat: string) {
    this.path = seatRoot(seat);
    mkdirSync(this.path, { recursive: true, mode: 0o755 });
    if (!mountPoints('self').some((mount) => mount.target === this.path)) {
      mountTmpfs(this.path, { size: '4m', inodes: 4096, mode: 0o755 });
    }
    const root = openAt(undefined, this.path);
    const dev = this.directory(root, 'dev');
    const udev = this.directory(root, 'udev');
    this.classes = new Map(nodeClasses.map((name) => [name, this.directory(dev, name)]));
    this.data = this.directory(udev, 'data');
    this.tags = this.directory(udev, 'tags');
    // libudev asks once, when a client starts, whether this exists (consumer: device_monitor_new_full).
    if (!existsSync(join(this.path, 'udev/control'))) writeFileAt(udev, 'control', '', 0o600);
    for (const fd of [root, dev, udev]) closeSync(fd);
  }

  makeNode(node: NodeSpec): void {
    const { major, minor } = node.number;
    makeNode(this.classFd(node.class), node.name, { major, minor, uid: node.uid, gid: node.gid, mode: node.mode });
  }

  removeNode(name: NodeClass, node: string): void {
    unlinkAt(this.classFd(name), node);
  }

  writeRecord(record: RecordSpec): void {
    writeFileAt(this.data, record.id, record.text, 0o644);
    for (const tag of record.tags) {
      const directory = this.directory(this.tags, tag);
      try {
        writeFileAt(directory, record.id, '', 0o644);
      } finally {
        closeSync(directory);
      }
    }
  }

  removeRecord(id: string): void {
    unlinkAt(this.data, id);
    for (const tag of listDirectory(this.tags)) {
      const directory = this.directory(this.tags, tag);
      try {
        unlinkAt(directory, id);
      } finally {
        closeSync(directory);
      }
    }
  }

  /** What is in there now. Anything that is neither a character device nor a small plain file is removed at sight. */
  read(): { nodes: Map<string, NodeSpec>; records: Map<string, string> } {
    const nodes = new Map<string, NodeSpec>();
    for (const [name, fd] of this.classes) {
      for (const entry of listDirectory(fd)) {
        const stat = statAt(fd, entry);
        if (stat === undefined) continue;
        if (stat.type !== 'character' || entry.startsWith('.')) {
          unlinkAt(fd, entry);
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
    for (const entry of listDirectory(this.data)) {
      const text = this.recordText(entry);
      if (text === undefined || entry.startsWith('.')) unlinkAt(this.data, entry);
      else records.set(entry, text);
    }
    return { nodes, records };
  }

  close(): void {
    for (const fd of [...this.classes.values(), this.data, this.tags]) closeSync(fd);
  }

  private recordText(name: string): string | undefined {
    const stat = statAt(this.data, name);
    if (stat === undefined || stat.type !== 'file' || stat.size > largestRecord) return undefined;
    const fd = openAt(this.data, name, constants.O_RDONLY | constants.O_NONBLOCK);
    try {
      return readFileSync(fd, 'utf8');
    } finally {
      closeSync(fd);
    }
  }

  private classFd(name: NodeClass): number {
    const fd = this.classes.get(name);
    if (fd === undefined) throw new Error(`no directory for ${name}`);
    return fd;
  }

  private directory(parent: number, name: string): number {
    mkdirAt(parent, name, 0o755);
    return openAt(parent, name);
  }
}
