import { Worker } from 'node:worker_threads';
import type { NamespaceAnswer, NamespaceRequest } from './namespace-worker.js';

type Unnumbered<T> = T extends unknown ? Omit<T, 'id'> : never;

/** Longest that a call inside a namespace may take, ms: they are single system calls. */
const limit = 5000;

/** Acts in other mount and network namespaces, from a thread of its own: the rest of the process never leaves home. */
export class Namespaces {
  private worker: Worker | undefined;
  private next = 0;
  private readonly waiting = new Map<number, { resolve: (result: number) => void; reject: (error: Error) => void }>();

  /** Attaches detached mounts on directories in the mount namespace of a process; all descriptors stay the caller's. */
  async moveMounts(pid: number, mounts: readonly { tree: number; target: number }[]): Promise<void> {
    await this.ask({ do: 'move-mounts', pid, mounts });
  }

  /** A netlink socket for uevents in the network namespace of a process; the caller closes it. */
  openUeventSocket(pid: number): Promise<number> {
    return this.ask({ do: 'uevent-socket', pid });
  }

  close(): void {
    void this.worker?.terminate();
    this.worker = undefined;
  }

  private ask(request: Unnumbered<NamespaceRequest>): Promise<number> {
    const worker = this.started();
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

  private started(): Worker {
    if (this.worker !== undefined) return this.worker;
    const worker = new Worker(new URL('./namespace-worker.js', import.meta.url));
    worker.unref();
    worker.on('message', (answer: NamespaceAnswer) => {
      const waiter = this.waiting.get(answer.id);
      if ('error' in answer) waiter?.reject(new Error(answer.error));
      else waiter?.resolve(answer.result);
    });
    worker.on('error', (error) => {
      this.worker = undefined;
      this.fail(error);
    });
    this.worker = worker;
    return worker;
  }

  private fail(error: Error): void {
    for (const waiter of [...this.waiting.values()]) waiter.reject(error);
  }
}
