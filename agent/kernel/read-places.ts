import { HeldUp } from './held-up.js';
import { soon } from './soon.js';

/** Whose files can keep a reader waiting, each kind by other locks: USB devices, graphics cards, sound cards. */
export type ReadKind = 'usb' | 'drm' | 'sound';

/** So many helpers may read at one kind of device: one waits for a device that is kept busy, one reads all others. */
const ofOneKind = 2;
/** Longest that a killed helper takes to end where the kernel lets it, ms. */
const killed = 1000;
/** More devices than a PC has at which a reader can wait. */
const mostSuspects = 512;

/** A helper that reads, until it has answered; one that hangs, until it has ended. */
export interface Reader {
  readonly kind: ReadKind;
  /** The device. */
  readonly subject: string;
  isHanging: boolean;
}

/**
 * Places for helpers that read files of the kernel's own. Each kind of device has its own, so that none uses up the places of
 * others. A device at which a reader had to wait is suspected until it answers; of suspected devices, one at a time is read.
 * So there is always a place for those that are not, unless readers of two devices hang and cannot be ended.
 */
export class ReadPlaces {
  private readonly taken = new Set<Reader>();
  private readonly suspects = new Set<string>();
  private readonly waiting = new Set<() => void>();
  private isClosed = false;

  /** Helpers that read and hang. */
  get hanging(): number {
    return [...this.taken].filter(({ isHanging }) => isHanging).length;
  }

  /** Settles when there is a place. Rejects with `HeldUp` when others than this device keep it from having one. */
  async enter(kind: ReadKind, subject: string): Promise<Reader> {
    for (;;) {
      if (this.isClosed) throw new Error('the helpers were closed');
      const others = [...this.taken].filter((reader) => reader.kind === kind);
      const refusal = this.refusal(kind, subject, others);
      if (refusal !== undefined) throw new HeldUp(refusal);
      if (others.length < ofOneKind) {
        const reader: Reader = { kind, subject, isHanging: false };
        this.taken.add(reader);
        return reader;
      }
      await new Promise<void>((resolve) => this.waiting.add(resolve));
    }
  }

  /** Its device has answered. */
  trust(reader: Reader): void {
    this.suspects.delete(nameOf(reader));
  }

  /** Its helper is free, or has ended. */
  leave(reader: Reader): void {
    this.taken.delete(reader);
    this.wake();
  }

  /** It did not answer in time. It keeps its place until it leaves. */
  hang(reader: Reader): void {
    reader.isHanging = true;
    if (this.suspects.size >= mostSuspects) this.suspects.clear();
    this.suspects.add(nameOf(reader));
    this.wake();
  }

  /** Settles when a reader that hangs has ended. One that the kernel does not let end is waited for no longer than `killed`. */
  async ended(reader: Reader): Promise<void> {
    const end = performance.now() + killed;
    while (this.taken.has(reader) && performance.now() < end)
      await soon(new Promise<void>((resolve) => this.waiting.add(resolve)), end - performance.now());
  }

  /** All that wait are refused. */
  close(): void {
    this.isClosed = true;
    this.wake();
  }

  private refusal(kind: ReadKind, subject: string, others: readonly Reader[]): string | undefined {
    const hanging = others.filter(({ isHanging }) => isHanging);
    if (hanging.some((reader) => reader.subject === subject)) return `${subject} does not answer, and holds a helper`;
    if (hanging.length >= ofOneKind) return `other devices do not answer: ${hanging.map(subjectOf).join(' and ')}`;
    const before = others.find((reader) => this.suspects.has(nameOf(reader)));
    if (before === undefined || !this.suspects.has(nameOf({ kind, subject }))) return undefined;
    return `${subject} did not answer before, and it is the turn of ${before.subject}`;
  }

  private wake(): void {
    for (const resolve of this.waiting) resolve();
    this.waiting.clear();
  }
}

const subjectOf = ({ subject }: Reader): string => subject;

const nameOf = ({ kind, subject }: Pick<Reader, 'kind' | 'subject'>): string => `${kind} ${subject}`;
