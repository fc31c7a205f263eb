import { type FSWatcher, watch } from 'node:fs';

/** So many events are taken in so many ms. A program that uses a directory as it is meant causes fewer. */
const most = { events: 100, ms: 200 };

/** How long a directory is left alone after that, ms. */
export const rest = 500;

/**
 * inotify's events of a directory whose owner can cause any number of them: libuv reads the queue until it is empty, and somebody
 * who fills it faster would keep the whole process there. After too many the watch ends, so that the kernel queues nothing
 * more, and `tired` is called: to hear on, the caller watches again after a `rest`, and counts that as an event.
 */
export function watchCalmly(path: string, heard: (name: string | null) => void, tired: () => void): FSWatcher {
  let began = performance.now();
  let events = 0;
  const watcher = watch(path, { persistent: false }, (_event, name) => {
    const now = performance.now();
    if (now - began > most.ms) {
      began = now;
      events = 0;
    }
    events += 1;
    if (events <= most.events) {
      heard(name);
      return;
    }
    watcher.close();
    tired();
  });
  return watcher;
}
