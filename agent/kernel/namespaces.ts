import { Worker } from 'node:worker_threads';
import { SysError } from './errors.js';
import type { Found } from './fs.js';
import type { NamespaceAnswer, NamespaceRequest, NamespaceResults } from './namespace-worker.js';
import type { NodeBind } from './node-bind.js';

type Kind = keyof NamespaceResults;
type Asked<K extends Kind> = Omit<Extract<NamespaceRequest, { do: K }>, 'id' | 'do'>;

/** Longest that a request may take, ms: they are a few system calls, unless a container's own file system holds them. */
const limit = 10_000;
/** Longest that the thread may take to load what it needs, ms; on an emulated or busy machine that is many seconds. */
const startLimit = 90_000;

/**
 * Acts in other mount and network namespaces and on the paths of containers, from a thread of its own: the rest of the
 * process never leaves home, and a file system that a container serves itself (FUSE) can hold nobody else for long.
 */
export class Namespaces {
  private worker: Promise<Worker> | undefined;
  private next = 0;
  private readonly waiting = new Map<number, { resolve: (result: unknown) => void; reject: (error: Error) => void }>();
  /** Processes whose file systems hold a thread of ours: no further one is sent after it. */
  private readonly holding = new Set<number>();

  /** Starts the thread before it is needed: loading it is the slow part. */
  async start(): Promise<void> {
    await this.started();
  }

  /**
   * Attaches detached trees at paths below the root of a process, in its mount namespace; missing directories are made
   * as its root user's. Answers with the names that each of them covers; the descriptors stay the caller's.
   */
  graft(asked: Asked<'graft'>): Promise<string[][]> {
    return this.ask('graft', asked);
  }

  /**
   * Shows a single node in the `/dev` of a process: mounted on an empty file, which is made as its root user's. Whatever
   * of the same file system was mounted there before goes. The descriptor stays the caller's.
   */
  bindNode(asked: Asked<'bind-node'>): Promise<NodeBind> {
    return this.ask('bind-node', asked);
  }

  /** Takes such a node away again, and the file below it if it still is the one that was made. */
  async unbindNode(asked: Asked<'unbind-node'>): Promise<void> {
    await this.ask('unbind-node', asked);
  }

  /** Takes mounts away in the mount namespace of a process, the last one first. */
  async unmount(pid: number, targets: readonly string[]): Promise<void> {
    await this.ask('unmount', { pid, targets });
  }

  /** A netlink socket for uevents in the network namespace of a process; the caller closes it. */
  openUeventSocket(pid: number): Promise<number> {
    return this.ask('uevent-socket', { pid });
  }

  /** What is at paths of a container, below the root of a process. */
  find(pid: number, paths: readonly string[]): Promise<Found[]> {
    return this.ask('find', { pid, paths });
  }

  /** A plain file of a container, by its path below the root of a process; undefined when there is none. */
  readFile(pid: number, path: string, bytes: number): Promise<string | undefined> {
    return this.ask('read-file', { pid, path, limit: bytes });
  }

  /** Names in a directory of a container, at most `limit`; undefined when there is none that is reached without a link. */
  listDirectory(pid: number, path: string, limit: number): Promise<string[] | undefined> {
    return this.ask('list-directory', { pid, path, limit });
  }

  /** Ends the thread; what is still asked of it is refused. A later request starts another. */
  close(): void {
    this.fail(new Error('the namespace thread was closed'));
    void this.worker?.then((worker) => worker.terminate()).catch(() => undefined);
    this.worker = undefined;
  }

  private async ask<K extends Kind>(kind: K, asked: Asked<K>): Promise<NamespaceResults[K]> {
    const { pid } = asked;
    if (this.holding.has(pid)) throw new Error(`a file system of process ${pid} does not answer`);
    const worker = await this.started();
    const id = ++this.next;
    return new Promise<NamespaceResults[K]>((resolve, reject) => {
      const timer = setTimeout(() => {
        this.holding.add(pid);
        worker.once('exit', () => this.holding.delete(pid));
        this.fail(new Error(`${kind} in the namespaces of process ${pid} took over ${limit} ms`));
        this.close();
      }, limit);
      const settled =
        <T>(then: (value: T) => void) =>
        (value: T) => {
          clearTimeout(timer);
          this.waiting.delete(id);
          then(value);
        };
      this.waiting.set(id, { resolve: settled(resolve as (result: unknown) => void), reject: settled(reject) });
      worker.postMessage({ ...asked, do: kind, id });
    });
  }

  private started(): Promise<Worker> {
    this.worker ??= this.spawn();
    return this.worker;
  }

  private spawn(): Promise<Worker> {
    return new Promise<Worker>((resolve, reject) => {
      const worker = new Worker(new URL('./namespace-worker.js', import.meta.url), {
        // It closes what system calls opened, which Node would warn of.
        trackUnmanagedFds: false,
      });
      worker.unref();
      const timer = setTimeout(() => {
        reject(new Error(`the namespace thread did not start within ${startLimit} ms`));
        this.close();
      }, startLimit);
      worker.on('message', (answer: NamespaceAnswer | 'ready') => {
        if (answer === 'ready') {
          clearTimeout(timer);
          resolve(worker);
          return;
        }
        const waiter = this.waiting.get(answer.id);
        if ('result' in answer) waiter?.resolve(answer.result);
        else waiter?.reject(errorOf(answer));
      });
      worker.on('error', (error) => {
        clearTimeout(timer);
        this.worker = undefined;
        reject(error);
        this.fail(error);
      });
      worker.on('exit', () => {
        clearTimeout(timer);
        reject(new Error('the namespace thread ended before it was ready'));
      });
    });
  }

  private fail(error: Error): void {
    for (const waiter of [...this.waiting.values()]) waiter.reject(error);
  }
}

const errorOf = ({ error, system }: Extract<NamespaceAnswer, { error: string }>): Error =>
  system === undefined ? new Error(error) : new SysError(system.syscall, system.errno, system.what);
