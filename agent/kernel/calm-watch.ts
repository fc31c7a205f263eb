import { watch } from 'node:fs';

/** So many events are taken in so many ms. A program that uses a directory as it is meant causes fewer. */
const most = { events: 100, ms: 200 };

/** How long a directory is left alone after that, ms. */
const restMs = 500;

/** The news of a watch. */
export interface CalmEvents {
  /** Something stirred there; `name` as of fs.watch. */
  readonly heard: (name: string | null) => void;
  /** After a rest the watch has ended: to hear on, watch again, and count the rest as an event. */
  readonly rested: () => void;
  /** The watch failed and has ended. Without it, that ends the process. */
  readonly failed?: (error: Error) => void;
}

/**
 * inotify's events of a directory whose owner can cause any number of them: libuv reads the queue until it is empty, and somebody
 * who fills it faster would keep the whole process there. After too many nothing is heard for a while, and the kernel queues
 * nothing.
 */
export class CalmWatch {
  private readonly watcher;
  private began = performance.now();
  private events = 0;
  private rest: NodeJS.Timeout | undefined;

  /** @throws as fs.watch does */
  constructor(
    path: string,
    private readonly then: CalmEvents,
  ) {
    this.watcher = watch(path, { persistent: false }, (_event, name) => this.take(name));
    const { failed } = then;
    if (failed !== undefined)
      this.watcher.on('error', (error) => {
        this.close();
        failed(error);
      });
  }

  /** Whether nothing is heard for a while. */
  get isResting(): boolean {
    return this.rest !== undefined;
  }

  close(): void {
    clearTimeout(this.rest);
    this.watcher.close();
  }

  private take(name: string | null): void {
    const now = performance.now();
    if (now - this.began > most.ms) {
      this.began = now;
      this.events = 0;
    }
    this.events += 1;
    if (this.events > most.events) {
      this.watcher.close();
      this.rest = setTimeout(() => this.then.rested(), restMs).unref();
    }
    this.then.heard(name);
  }
}
