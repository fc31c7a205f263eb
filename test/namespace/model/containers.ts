import { type ChildProcess, spawn } from 'node:child_process';
import { fstatSync, lstatSync, mkdirSync, openSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { numberOf, numberText } from '../../../agent/core/device.js';
import type { Container } from '../../../agent/engines/engine.js';
import { uidsOf } from '../../../agent/engines/users.js';
import { cgroupId } from '../../../agent/kernel/cgroup.js';
import { openLocal } from '../../../agent/kernel/local.js';
import type { MountPoint } from '../../../agent/kernel/mount.js';
import type { Namespaces } from '../../../agent/kernel/namespaces.js';
import type { ProcessRef } from '../../../agent/kernel/process-key.js';
import { namesIn, readOptional } from '../../../agent/kernel/read.js';
import { graftsOf, nodeClasses, seatRoot } from '../../../agent/seat/layout.js';
import type { Life } from './life.js';
import { idOf, type Pc, type PcDevice } from './pc.js';
import type { Process } from './processes.js';
import type { Seat } from './wishes.js';

/** One run of one container: what is mounted in it, what its programs have open, and what its udev listeners know. */
export class Run implements Process {
  ended = false;
  /** Processes of it are left in its group, although its init has ended. */
  lingers = false;
  /** The agent has looked since it ended, or could have. */
  isPast = false;
  mounts: MountPoint[] = [];
  /** Raw nodes that are mounted in it, by name, and the inodes of the nodes. */
  readonly shown = new Map<string, bigint>();
  open: PcDevice[] = [];
  inFlight: PcDevice[] = [];
  veil: Process['veil'];
  isBusy = false;
  readonly isHosts = false;
  /** `setup`: its engine prepares it, and none of its programs runs. `unclear`: it has hidden who it is. */
  state: 'setup' | 'running' | 'unclear' = 'running';
  /** The agent was told that it is unclear. */
  isSeenUnclear = false;
  /** It was unclear at any time: nobody could come in meanwhile, to tell it of what left or to unmount a raw node. */
  hasHidden = false;
  /** The mounts before its init ran, and their seat. */
  readonly configured: MountPoint[] = [];
  configuredFor: Seat | undefined;
  /** Somebody could tell it something by now. */
  isSpokenTo = false;
  /** By DEVPATH. */
  readonly known = new Map<string, PcDevice | undefined>();
  /** Which of them they only read of. */
  readonly read = new Set<string>();

  constructor(
    /** Its directory's inode: the kernel's name for the group. */
    readonly id: bigint,
    public name: string,
    readonly pid: number,
    readonly cgroup: string,
    /** Its programs open all devices that they are told of, as Xorg does. */
    public isEager: boolean,
    /** Whose engine runs it; undefined: root's. */
    readonly user: string | undefined,
  ) {}

  /** The real uid of its processes. */
  get uid(): number {
    return this.user === undefined ? 0 : uid;
  }

  get key(): string {
    return `${this.pid}:1`;
  }

  /** Its own configuration mounts a seat's directories, while its engine prepares it. */
  configure(seat: Seat): void {
    this.state = 'setup';
    this.configuredFor = seat;
    const device = deviceText(statSync(seatRoot(seat), { bigint: true }).dev);
    for (const { source, target } of graftsOf(nodeClasses.filter((one) => one !== 'hidraw'))) {
      const mount = { device, root: `/${source}`, target: `/${target}`, readOnly: true };
      this.mounts.push(mount);
      this.configured.push(mount);
    }
  }

  /** As its engine is seen by the agent. */
  get facts(): Container {
    const { name, user, pid, key, cgroup, state } = this;
    return {
      ...{ engine: 'lxc', name, user, pid, key, cgroup, uid: 0, gid: 0 },
      // Its engine's own programs are for other tests: granted devices can be opened.
      ...{ state, rooted: state !== 'setup', openable: false },
    };
  }
}

/** As mountinfo names a file system. */
const deviceText = (dev: bigint): string => numberText(numberOf(dev));

/** No process of this machine has such a number. */
const firstPid = 10_000_000;

/** A login name of this machine: who runs the container `hers`. */
export const user = 'daemon';

export const uid = uidsOf(user)[0]?.first ?? 0;

let parked: ChildProcess | undefined;

/** A process that is not root's: stands for all that linger. */
function lingering(): number {
  if (parked === undefined) {
    parked = spawn('sleep', ['infinity'], { uid: 65534, stdio: 'ignore' });
    parked.unref();
    process.once('exit', () => parked?.kill());
  }
  return parked.pid ?? 0;
}

/** The containers of the PC. */
export class Containers {
  /** All that ever ran, the last one last. */
  readonly runs: Run[] = [];

  get running(): Run[] {
    return this.runs.filter(({ ended }) => !ended);
  }

  /** Those of which any process is left. */
  get populated(): Run[] {
    return this.runs.filter(({ ended, lingers }) => !ended || lingers);
  }

  named(name: string): Run | undefined {
    return this.running.find((run) => run.name === name);
  }

  /**
   * A container whose name is taken does not start. Its group has the path of a former one that has gone, once that was
   * seen.
   */
  start(name: string, isEager: boolean): Run | undefined {
    if (this.named(name) !== undefined) return undefined;
    const taken = this.runs.filter(({ isPast, lingers }) => !isPast || lingers).map(({ cgroup }) => cgroup);
    let cgroup = `/sys/fs/cgroup/lxc.payload.${name}`;
    while (taken.includes(cgroup)) cgroup += '-1';
    mkdirSync(cgroup);
    writeFileSync(join(cgroup, 'cgroup.events'), 'populated 1\nfrozen 0\n');
    const run = new Run(
      ...([cgroupId(cgroup), name, firstPid + this.runs.length, cgroup, isEager] as const),
      name === 'hers' ? user : undefined,
    );
    this.runs.push(run);
    return run;
  }

  stop(name: string): void {
    const run = this.named(name);
    if (run === undefined) return;
    run.ended = true;
    this.end(run);
  }

  /** Its init ends, and other processes of it stay in its group. */
  loseInit(name: string): void {
    const run = this.named(name);
    if (run === undefined) return;
    run.ended = true;
    run.lingers = true;
    writeFileSync(join(run.cgroup, 'cgroup.procs'), `${lingering()}\n`);
  }

  /** Processes that linger of containers of a name end. */
  endLingering(name: string): void {
    for (const run of this.runs) if (run.lingers && run.name === name) this.end(run);
  }

  private end(run: Run): void {
    run.lingers = false;
    run.open = [];
    run.inFlight = [];
    run.mounts = [];
    rmSync(run.cgroup, { recursive: true });
  }

  /** As the agent sees them. */
  look(): Container[] {
    for (const run of this.runs) {
      run.isPast = run.ended;
      run.isSeenUnclear = run.state === 'unclear';
    }
    return this.running.map(({ facts }) => facts);
  }

  /** Two names change places, or one that is free is taken. */
  rename(from: string, to: string): void {
    // A user's container is nobody else's under any name.
    if (from === 'hers' || to === 'hers') return;
    const [one, other] = [this.named(from), this.named(to)];
    if (one !== undefined) one.name = to;
    if (other !== undefined) other.name = from;
  }
}

/** The inside of the containers, as the agent gets there. */
export class Inside implements Pick<Namespaces, keyof Namespaces> {
  private readonly sockets = new Map<number, Run>();

  constructor(
    private readonly containers: Containers,
    private readonly pc: Pc,
    private readonly life: Life,
    /** Called before a raw node is shown in a container. */
    private readonly showing: (run: Run, name: string) => void,
  ) {}

  graft({ process, mounts }: Parameters<Namespaces['graft']>[0]): Promise<string[][]> {
    return this.life.later(() => {
      const run = this.of(process);
      for (const { tree, target } of mounts) {
        const device = deviceText(fstatSync(tree, { bigint: true }).dev);
        const root = target === 'run/udev' ? '/udev' : `/${target}`;
        run.mounts.push({ device, root, target: `/${target}`, readOnly: true });
      }
      return mounts.map(() => []);
    });
  }

  async openLocal(path: string): Promise<number> {
    return openLocal(path);
  }

  unmount(process: ProcessRef, targets: readonly string[]): Promise<void> {
    return this.life.later(() => {
      const run = this.of(process);
      for (const target of targets) {
        const at = run.mounts.findLastIndex((mount) => mount.target === target);
        if (at >= 0) run.mounts.splice(at, 1);
      }
    });
  }

  mounts(
    process: ProcessRef,
    { targets = [], devices = [] }: { targets?: readonly string[]; devices?: readonly string[] },
  ): Promise<MountPoint[]> {
    return this.life.later(() => {
      const run = this.of(process);
      // A node that was removed is there by a mount of its own, and its name is another one.
      const mounts = run.mounts.map((mount) =>
        isShownNow(run, mount) ? mount : { ...mount, root: `${mount.root}//deleted` },
      );
      const there = new Set(mounts.filter(({ device }) => devices.includes(device)).map(({ target }) => target));
      return mounts.filter(({ target }) => targets.includes(target) || there.has(target));
    });
  }

  openUeventSocket(process: ProcessRef): Promise<number> {
    return this.life.later(() => {
      const run = this.of(process);
      const socket = openSync('/dev/null', 'r');
      this.sockets.set(socket, run);
      if (!run.isSpokenTo) this.forgetGone(run);
      run.isSpokenTo = true;
      return socket;
    });
  }

  /** The container whose listeners hear the messages of a socket. */
  listeners(socket: number): Run | undefined {
    return this.sockets.get(socket);
  }

  /** Messages in udevd's name reach the listeners of the container in which the socket was made. */
  hear(socket: number, action: string, devpath: string): void {
    const run = this.sockets.get(socket);
    if (run === undefined || run.ended) return;
    run.read.delete(devpath);
    if (action === 'remove') run.known.delete(devpath);
    else run.known.set(devpath, this.pc.device(`/sys${devpath}`));
  }

  writeGroup(): Promise<never> {
    return Promise.reject(new Error('no shares here'));
  }

  bindNode({ process, tree, name }: Parameters<Namespaces['bindNode']>[0]): ReturnType<Namespaces['bindNode']> {
    const { dev, ino } = fstatSync(tree, { bigint: true });
    return this.life.later(() => {
      const run = this.of(process);
      this.hide(run, name);
      this.showing(run, name);
      run.mounts.push({ device: deviceText(dev), root: `/dev/hidraw/${name}`, target: `/dev/${name}`, readOnly: true });
      run.shown.set(name, ino);
      return { placeholder: undefined, covers: undefined };
    });
  }

  unbindNode({ process, name }: Parameters<Namespaces['unbindNode']>[0]): Promise<void> {
    return this.life.later(() => this.hide(this.of(process), name));
  }

  private hide(run: Run, name: string): void {
    run.mounts = run.mounts.filter(({ target }) => target !== `/dev/${name}`);
    run.shown.delete(name);
  }

  find(_process: ProcessRef, paths: readonly string[]): ReturnType<Namespaces['find']> {
    return Promise.resolve(paths.map(() => 'missing'));
  }

  readFile(): Promise<undefined> {
    return Promise.resolve(undefined);
  }

  listDirectory(): Promise<undefined> {
    return Promise.resolve(undefined);
  }

  async hasMapped(): Promise<boolean> {
    return false;
  }

  commandLine(): Promise<undefined> {
    return Promise.resolve(undefined);
  }

  start(): Promise<void> {
    return Promise.resolve();
  }

  close(): void {}

  /** Its programs find a device dead that they read, and that went before anybody could tell them. */
  private forgetGone(run: Run): void {
    for (const [devpath, device] of run.known) {
      const isThere = device !== undefined && run.configuredFor !== undefined && isRecorded(run.configuredFor, device);
      if (!isThere) run.known.delete(devpath);
    }
  }

  private of({ pid, key }: ProcessRef): Run {
    const run = this.containers.running.find((one) => one.key === key);
    if (run === undefined) throw new Error(`process ${pid} has ended`);
    return run;
  }
}

/** Whether a mount is still of what has its name in the seat's directory; true of all that are no raw nodes. */
function isShownNow(run: Run, { device, root, target }: MountPoint): boolean {
  const inode = run.shown.get(basename(target));
  if (inode === undefined || !root.startsWith('/dev/hidraw/')) return true;
  const seat = namesIn(seatRoot('')).find(
    (one) => deviceText(statSync(seatRoot(one), { bigint: true }).dev) === device,
  );
  const path = join(seatRoot(seat ?? ''), root);
  return lstatSync(path, { bigint: true, throwIfNoEntry: false })?.ino === inode;
}

/** Whether a seat's database shows a device, and not a former one that had its name. */
export const isRecorded = (seat: Seat, device: PcDevice): boolean => {
  const text = readOptional(join(seatRoot(seat), 'udev/data', idOf(device))) ?? '';
  return text.includes(`E:ID_PATH=${device.properties['ID_PATH']}\n`);
};
