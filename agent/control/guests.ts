/**
 * Counts the connections of each user except root, and of all of them together: one person can have many user ids
 * (subuid(5)), and every connection is a descriptor of the agent's. It also counts the watching ones, which may last
 * for ever.
 */
const most = { each: 32, together: 256, watching: { each: 8, together: 64 } };

/** The clients that are not root. When there is no room, the client that was silent longest has to go. */
export class Guests<T> {
  private readonly uids = new Map<T, number>();
  /** Those for whom nothing is being done, the longest silent one first. */
  private readonly silent = new Set<T>();
  private readonly watching = new Set<T>();

  /** `dismiss`: sends a guest away, with the reason. */
  constructor(private readonly dismiss: (guest: T, reason: string) => void) {}

  /** Lets a user's connection in; returns why not, undefined when it is in. Root is no guest and always is. */
  enter(guest: T, uid: number): string | undefined {
    if (uid === 0) return undefined;
    if (this.count(this.uids.keys(), uid) >= most.each) return `a user has at most ${most.each} connections`;
    if (this.uids.size >= most.together) {
      const [longest] = this.silent;
      const limit = `all users but root together have at most ${most.together} connections`;
      if (longest === undefined) return `${limit}, and none is idle: try again later`;
      this.leave(longest);
      this.dismiss(longest, `${limit}: this one was idle for longest`);
    }
    this.uids.set(guest, uid);
    this.silent.add(guest);
    return undefined;
  }

  /** A request of this guest is being answered: it need not make room meanwhile. */
  begin(guest: T): void {
    this.silent.delete(guest);
  }

  end(guest: T): void {
    if (this.uids.has(guest) && !this.watching.has(guest)) this.silent.add(guest);
  }

  /** Lets a guest watch; returns why not, undefined when he may. */
  watch(guest: T): string | undefined {
    const uid = this.uids.get(guest);
    if (uid === undefined || this.watching.has(guest)) return undefined;
    const { each, together } = most.watching;
    if (this.count(this.watching, uid) >= each) return `a user watches over at most ${each} connections`;
    if (this.watching.size >= together)
      return `all users but root together watch over at most ${together} connections: try again later`;
    this.watching.add(guest);
    this.silent.delete(guest);
    return undefined;
  }

  leave(guest: T): void {
    this.uids.delete(guest);
    this.silent.delete(guest);
    this.watching.delete(guest);
  }

  private count(guests: Iterable<T>, uid: number): number {
    let count = 0;
    for (const guest of guests) if (this.uids.get(guest) === uid) count += 1;
    return count;
  }
}
