import type { Observable } from 'rxjs';

/**
 * Where an engine says of itself that it has started, stopped or renamed something. What it says is never read: a word is
 * a reason to look, and what there is to see is the kernel's. So an engine that talks nonsense has us look in vain, no more.
 */
export interface EventStream {
  /** Where it is listened to, for people, and what tells it from others: a socket, a directory, a command. */
  readonly place: string;
  /** A subscription opens it, and its end closes it. It always ends with an error, with the reason in words. */
  readonly words: Observable<Word>;
}

/** `listening`, once, when it is open; then `word` for each event. */
export type Word = 'listening' | 'word';
