import type { RecordFile } from '../kernel/record-file.js';

/** So many processes of a container are told apart; the others get what its init had. A seat can make any number of them. */
const mostOfOne = 1000;

/**
 * The values that processes had before Hotseat set any: of each container's init, and of its processes that had another one than
 * init. On record, for an agent that starts again. Keys are `init` and `init process`, as `processKey` gives both.
 */
export class FormerScores {
  private readonly scores: Map<string, number>;

  constructor(private readonly record: RecordFile<number>) {
    this.scores = record.read();
  }

  /** The inits on record. */
  inits = (): string[] => [...this.scores.keys()].filter((key) => !key.includes(' '));

  /** Of an init, or of one of its container's processes. */
  of = (init: string, process?: string): number | undefined =>
    (process === undefined ? undefined : this.scores.get(`${init} ${process}`)) ?? this.scores.get(init);

  /** Takes note of these, unless they are on record; before they get others, so that an agent that ends in between leaves word. */
  note(init: string, processes: ReadonlyMap<string, number>): void {
    const all = new Map(this.scores);
    let room = mostOfOne - this.ownKeys(init).length;
    for (const [process, score] of processes) {
      const key = process === init ? init : `${init} ${process}`;
      if (all.has(key) || (key !== init && (score === this.scores.get(init) || room <= 0))) continue;
      all.set(key, score);
      room -= 1;
    }
    if (all.size === this.scores.size) return;
    this.record.write(all);
    for (const [key, score] of all) this.scores.set(key, score);
  }

  /** Forgets containers. On a PC where no agent has run since its start, there is no place for a record, and no need for one. */
  forget(inits: readonly string[]): void {
    if (inits.length === 0) return;
    for (const init of inits) for (const key of [init, ...this.ownKeys(init)]) this.scores.delete(key);
    this.record.write(this.scores);
  }

  private ownKeys = (init: string): string[] => [...this.scores.keys()].filter((key) => key.startsWith(`${init} `));
}
