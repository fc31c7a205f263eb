import { type ProcessRef, parentOf, processRef } from '../kernel/process-key.js';
import { readUnlessGone } from '../kernel/read.js';
import { realUid } from '../kernel/real-uid.js';
import { uidOf } from './users.js';

/** Reads the command line of a process in good time, or throws; undefined when it has gone. */
export type CommandLine = (process: ProcessRef) => Promise<string | undefined>;

/** Time until a failed read is tried again, ms. */
const failed = 30_000;
/**
 * An answer is good for so long, ms, and twice as long each time: while an engine sets a container up, others than the
 * monitor are its parent, and monitors begin as other programs.
 */
const fresh = { first: 100, longest: 30_000 };

/** The result of a question about an init. */
interface Answer {
  readonly title: string[] | undefined;
  readonly reason: string | undefined;
  /** When it was first used, monotonic ms, and for how long it is good from then on, ms. */
  usedAt: number | undefined;
  readonly goodFor: number;
}

/**
 * Command lines of engines' monitors, which are the parents of the containers' inits. Only of a monitor that is of the user
 * whose engine it is: anybody can have any command line.
 */
export class Monitors {
  private readonly answers = new Map<string, Answer>();
  private readonly asking = new Map<string, Promise<void>>();

  /** `heard`: is called when there is an answer. */
  constructor(
    private readonly commandLine: CommandLine,
    private readonly heard: () => void,
  ) {}

  /**
   * The command line of the monitor of this init (`key`: its `pid:starttime`). Empty when it has ended, and one empty word
   * when another user's process is the parent. Root's is read at once. A user's is asked for: the kernel reads it from the
   * monitor's memory, and a user can keep that from ever being read. Undefined until there is an answer; throws when there
   * is none.
   */
  titleOf(init: number, key: string, user: string | undefined): string[] | undefined {
    if (user === undefined) {
      const parent = parentFor(init, 0);
      // Nobody takes a name from that, but the group is root's all the same.
      if (parent === undefined) return [''];
      const title = words(readUnlessGone(`/proc/${parent.pid}/cmdline`));
      // Who gets the children of processes that have ended (systemd, also that of root's session) is no monitor.
      return parent.pid === 1 || title[0]?.endsWith('/systemd') === true ? [] : title;
    }
    const former = this.answers.get(key);
    const now = performance.now();
    // A user can have very many inits that get no name: nothing about them is asked at every look.
    if (former === undefined || now - (former.usedAt ?? now) > former.goodFor) this.ask(init, key, user);
    const answer = this.answers.get(key);
    if (answer === undefined || this.asking.has(key)) return undefined;
    answer.usedAt ??= now;
    if (answer.reason !== undefined) throw new Error(answer.reason);
    return answer.title;
  }

  /** Forgets all but these inits. */
  keep(keys: ReadonlySet<string>): void {
    for (const key of this.answers.keys()) if (!keys.has(key)) this.answers.delete(key);
  }

  /** Settles when everything that was asked has an answer. */
  async settled(): Promise<void> {
    await Promise.all(this.asking.values());
  }

  private ask(init: number, key: string, user: string): void {
    if (this.asking.has(key)) return;
    const before = this.answers.get(key)?.goodFor;
    const goodFor = before === undefined ? fresh.first : Math.min(2 * before, fresh.longest);
    const parent = parentFor(init, Number(uidOf(user)));
    if (parent === undefined) {
      this.answers.set(key, { title: [], reason: undefined, usedAt: undefined, goodFor });
      return;
    }
    const asked = this.commandLine(parent)
      .then((line) => ({ title: words(line), reason: undefined, goodFor }))
      .catch((error: Error) => ({ title: undefined, reason: error.message, goodFor: failed }))
      .then((answer) => {
        this.answers.set(key, { ...answer, usedAt: undefined });
        this.asking.delete(key);
        this.heard();
      });
    this.asking.set(key, asked);
  }
}

/** The parent of an init, if it is of this user. */
function parentFor(init: number, uid: number): ProcessRef | undefined {
  const parent = processRef(parentOf(init) ?? 0);
  return parent !== undefined && realUid(parent.pid, readUnlessGone) === uid ? parent : undefined;
}

const words = (commandLine: string | undefined): string[] => (commandLine ?? '').split('\0');
