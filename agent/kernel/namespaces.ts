import { Worker } from 'node:worker_threads';
import type { NamespaceAnswer, NamespaceRequest } from './namespace-worker.js';

type Unnumbered<T> = T extends unknown ? Omit<T, 'id'> : never;

/** Longest that a call inside a namespace may take, ms: they are a few system calls. */
const limit = 10_000;
/** Longest that the thread may take to load what it needs, ms; on an emulated or busy machine that is many seconds. */
const startLimit = 90_000;

/** Acts in other mount and network namespaces, from a thread of its own: the rest of the process never leaves home. */
export class Namespaces {
  private worker: Promise<Worker> | undefined;
  private next = 0;
  private readonly waiting = new Map<number, { resolve: (result: number) => void; reject: (error: Error) => void }>();

  /** Starts the thread before it is needed: loading it is the slow part. */
  async start(): Promise<void> {
    await this.started();
  }

  /** Attaches detached mounts on directories in the mount namespace of a process; all descriptors stay the caller's. */
  async moveMounts(pid: number, mounts: readonly { tree: number; target: number }[]): Promise<void> {
    await this.ask({ do: 'move-mounts', pid, mounts });
  }

  /** A netlink socket for uevents in the network namespace of a process; the caller closes it. */
  openUeventSocket(pid: number): Promise<number> {
    return this.ask({ do: 'uevent-socket', pid });
  }

  close(): void {
    void this.worker?.then((worker) => worker.terminate()).catch(() => undefined);
    this.worker = undefined;
  }

  private async ask(request: Unnumbered<NamespaceRequest>): Promise<number> {
    const worker = await this.started();
    const id = ++this.next;
    return new Promise<number>((resolve, reject) => {
      const timer = setTimeout(() => {
        this.fail(new Error(`${request.do} in the namespaces of ${request.pid} took over ${limit} ms`));
        this.close();
      }, limit);
      const settled =
        <T>(then: (value: T) => void) =>
        (value: T) => {
          clearTimeout(timer);
          this.waiting.delete(id);
          then(value);
        };
      this.waiting.set(id, { resolve: settled(resolve), reject: settled(reject) });
      worker.postMessage({ ...request, id });
    });
  }

  private started(): Promise<Worker> {
    this.worker ??= this.spawn();
    return this.worker;
  }

  private spawn(): Promise<Worker> {
    return new Promise<Worker>((resolve, reject) => {
      const worker = new Worker(new URL('./namespace-worker.js', import.meta.url));
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
        if ('error' in answer) waiter?.reject(new Error(answer.error));
        else waiter?.resolve(answer.result);
      });
      worker.on('error', (error) => {
        clearTimeout(timer);
        this.worker = undefined;
        reject(error);
        this.fail(error);
      });
    });
  }

  private fail(error: Error): void {
    for (const waiter of [...this.waiting.values()]) waiter.reject(error);
  }
}
