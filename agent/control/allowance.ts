/** How much of the agent's one thread its unprivileged clients may take: a share of the time, and at once, ms. */
interface Share {
  readonly ofTime: number;
  readonly burstMs: number;
}

/** Limits for each user except root, and for all of them together: one person can have many user ids (subuid(5)). */
const each: Share = { ofTime: 0.05, burstMs: 100 };
const together: Share = { ofTime: 0.25, burstMs: 500 };
/** The lowest cost of a request, ms: to read it, and to write its answer. */
const leastMs = 0.2;

interface Account {
  /** The rest of the burst, ms; below 0 the time that was taken beyond it. */
  balance: number;
  /** When it was last brought up to date, ms. */
  at: number;
}

/**
 * The time that all clients but root take. A user who has had more than his share waits before his next request is
 * read: he delays himself, and neither the seats nor other users. `now`: a monotonic clock, ms.
 */
export class Allowance {
  /** By user; the user who was charged last is at the end. */
  private readonly accounts = new Map<number, Account>();
  private readonly all: Account;

  constructor(private readonly now: () => number = () => performance.now()) {
    this.all = { balance: together.burstMs, at: now() };
  }

  /** Of how many users an account is kept. */
  get users(): number {
    return this.accounts.size;
  }

  /** How long a user has to wait before his next request, ms; 0 when it may be answered now. Root never waits. */
  delay(uid: number): number {
    if (uid === 0) return 0;
    const mine = this.accounts.get(uid);
    return Math.max(mine === undefined ? 0 : this.debt(mine, each), this.debt(this.all, together));
  }

  /** Wait until more clients but root are let in, ms: they make up for the time that they took together first. */
  delayOfAll(): number {
    return this.debt(this.all, together);
  }

  /**
   * Charges a user with the time that something of his took, ms; `atLeast`: the lowest cost of a request, also to let
   * somebody in.
   */
  spend(uid: number, ms: number, atLeast = leastMs): void {
    if (uid === 0) return;
    const mine = this.accounts.get(uid) ?? { balance: each.burstMs, at: this.now() };
    this.accounts.delete(uid);
    this.accounts.set(uid, mine);
    for (const [account, share] of [
      [mine, each],
      [this.all, together],
    ] as const) {
      this.debt(account, share);
      account.balance -= Math.max(ms, atLeast);
    }
    this.forget();
  }

  /** Charges work for nobody, such as turning a client away, to all but root together, ms. */
  spendOfAll(ms: number): void {
    this.debt(this.all, together);
    this.all.balance -= Math.max(ms, leastMs);
  }

  /** Brings an account up to date; how long until its balance is not below 0, ms. */
  private debt(account: Account, { ofTime, burstMs }: Share): number {
    const now = this.now();
    account.balance = Math.min(burstMs, account.balance + (now - account.at) * ofTime);
    account.at = now;
    return account.balance >= 0 ? 0 : -account.balance / ofTime;
  }

  /** A user who has the whole burst again counts like a user who never asked. */
  private forget(): void {
    for (const [uid, account] of this.accounts) {
      this.debt(account, each);
      if (account.balance < each.burstMs) return;
      this.accounts.delete(uid);
    }
  }
}
