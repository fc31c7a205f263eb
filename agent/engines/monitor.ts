import { readOptional } from '../kernel/read.js';
import { parentOf } from './process.js';
import { realUid } from './provenance.js';
import { uidOf } from './users.js';

/** Reads the command line of a process in good time, or throws; undefined when it has gone. */
export type CommandLine = (pid: number) => Promise<string | undefined>;

/** What could not be read is tried again after so long, ms. */
const again = 30_000;

/** What became of a question: under way, answered, or why it could not be answered and when that was. */
type Asked = 'asked' | { readonly title: string[] } | { readonly reason: string; readonly at: number };

/**
 * Command lines of engines' monitors, which are the parents of the containers' inits. Only of a monitor that is of the user
 * whose engine it is: anybody can have any command line.
 */
export class Monitors {
  private readonly asked = new Map<string, Asked>();
  private readonly pending = new Set<Promise<void>>();

  /** `heard`: is called when there is an answer. */
  constructor(
    private readonly commandLine: CommandLine,
    private readonly heard: () => void,
  ) {}

  /**
   * The command line of the monitor of this init (`key`: its `pid:starttime`); empty when it has none. Root's is read at
   * once. A user's is asked for: the kernel reads it from the monitor's memory, and a user can keep that from ever being
   * read. Undefined until there is an answer; throws when there is none.
   */
  titleOf(init: number, key: string, user: string | undefined): string[] | undefined {
    const parent = parentOf(init);
    if (parent === undefined || realUid(parent) !== Number(user === undefined ? 0 : uidOf(user))) return [];
    if (user === undefined) return words(readOptional(`/proc/${parent}/cmdline`));
    const asked = this.asked.get(key);
    if (asked === undefined || (typeof asked === 'object' && 'at' in asked && performance.now() - asked.at > again)) {
      this.ask(Number(parent), key);
      return undefined;
    }
    if (asked === 'asked') return undefined;
    if ('reason' in asked) throw new Error(asked.reason);
    return asked.title;
  }

  /** Forgets all but these inits. */
  keep(keys: ReadonlySet<string>): void {
    for (const key of this.asked.keys()) if (!keys.has(key)) this.asked.delete(key);
  }

  /** Settles when everything that was asked has an answer. */
  async settled(): Promise<void> {
    await Promise.all(this.pending);
  }

  private ask(parent: number, key: string): void {
    this.asked.set(key, 'asked');
    const answer = this.commandLine(parent)
      .then((line): Asked => ({ title: words(line) }))
      .catch((error: Error): Asked => ({ reason: error.message, at: performance.now() }))
      .then((asked) => {
        if (this.asked.has(key)) this.asked.set(key, asked);
        this.pending.delete(answer);
        this.heard();
      });
    this.pending.add(answer);
  }
}

const words = (commandLine: string | undefined): string[] => (commandLine ?? '').split('\0');
