import type { JournalEntry, NodeSpec, RecordSpec } from '../../../agent/core/step.js';
import { SeatDirectory } from '../../../agent/seat/directory.js';
import { Journal, type Tenant } from '../../../agent/seat/journal.js';
import { journalRoot } from '../../../agent/seat/layout.js';
import type { Life } from './life.js';

/** The checks of the model before a seat's files change. */
export interface Looks {
  making(node: NodeSpec): void;
  removing(path: string): void;
  recording(record: RecordSpec): void;
  unrecording(id: string): void;
  forgetting(entry: JournalEntry): void;
}

/** A seat's journal, whose writer can die before and after each file. */
export class MortalJournal extends Journal {
  constructor(
    seat: string,
    private readonly life: Life,
    private readonly looks: Looks,
  ) {
    super(journalRoot(seat), (file, error) => {
      throw new Error(`${file} is damaged`, { cause: error });
    });
  }

  override setTenant(tenant: Tenant | undefined): void {
    this.life.act(() => super.setTenant(tenant));
  }

  override put(entry: JournalEntry): void {
    this.life.act(() => super.put(entry));
  }

  override delete(id: string): void {
    this.life.act(() => {
      const entry = this.entries.get(id);
      if (entry !== undefined) this.looks.forgetting(entry);
      super.delete(id);
    });
  }
}

/** A seat's directory, whose writer can die before and after each node and record. */
export class MortalDirectory extends SeatDirectory {
  constructor(
    seat: string,
    private readonly life: Life,
    private readonly looks: Looks,
  ) {
    super(seat);
  }

  override makeNode(node: NodeSpec): void {
    this.life.act(() => {
      this.looks.making(node);
      super.makeNode(node);
    });
  }

  override removeNode(...[name, path]: Parameters<SeatDirectory['removeNode']>): void {
    this.life.act(() => {
      this.looks.removing(`dev/${name}/${path}`);
      super.removeNode(name, path);
    });
  }

  override writeRecord(record: RecordSpec): void {
    this.life.act(() => {
      this.looks.recording(record);
      super.writeRecord(record);
    });
  }

  override removeRecord(id: string): void {
    this.life.act(() => {
      this.looks.unrecording(id);
      super.removeRecord(id);
    });
  }
}
