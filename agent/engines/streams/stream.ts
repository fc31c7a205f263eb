import type { Observable } from 'rxjs';

/**
 * A place where an engine tells that it has started, stopped or renamed a container. The text is never read: each event
 * is a reason to look at the kernel's own facts. An engine that talks nonsense costs a look in vain, no more.
 */
export interface EventStream {
  /** The place of the events, for people; it also tells streams apart: a socket, a directory, a command. */
  readonly place: string;
  /** A subscription opens it, and its end closes it. It always ends with an error, with the reason in words. */
  readonly words: Observable<Word>;
}

/** `listening`, once, when it is open; then `word` for each event. */
export type Word = 'listening' | 'word';
