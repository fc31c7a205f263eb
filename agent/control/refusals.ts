/** One line for each user in so long, ms. */
const everyMs = 60_000;
/**
 * So many users are told apart at a time; all others count as one, because a user with subordinate uids has thousands.
 */
const mostUsers = 50;

/** Which refusals are worth a line in the log: one user asks hundreds of times a second, and the journal drops lines then. */
export class Refusals {
  private readonly said = new Map<number | 'others', { readonly at: number; unsaid: number }>();

  /** How many refusals there were of this user since the last line of his, this one included; undefined for no line now. */
  note(uid: number, now = performance.now()): number | undefined {
    for (const [user, { at }] of this.said) if (now - at >= everyMs && user !== uid) this.said.delete(user);
    const user = this.said.has(uid) || this.said.size < mostUsers ? uid : 'others';
    const known = this.said.get(user);
    if (known !== undefined && now - known.at < everyMs) {
      known.unsaid += 1;
      return undefined;
    }
    this.said.set(user, { at: now, unsaid: 0 });
    return (known?.unsaid ?? 0) + 1;
  }
}
