import { basename } from 'node:path';
import type { Logger } from 'pino';
import type { Grantee } from '../core/desired.js';
import type { Unit } from '../core/device.js';
import { type HidInput, type Placement, placementAlone, placementOf, readerOf } from '../core/hid.js';
import { isAccessible } from '../core/last-word.js';
import { isLoan } from '../core/loan.js';
import { rawRefusal } from '../core/receipts.js';
import type { Claim, Verdict } from '../core/verdict.js';
import type { DeviceTable } from '../udev/table.js';

export interface HidrawsDeps {
  readonly log: Logger;
  readonly table: DeviceTable;
  /** The release of the kernel that runs. */
  readonly kernel: string;
  /** Whether a raw node opens for nobody who was not given it. It is asked of each raw node before it is placed. */
  readonly isGuarded: (raw: Unit) => boolean;
  /** Told of each unit that was judged, and how; of a raw node where udev has to know its seat on the host. */
  readonly along?: ((unit: Unit, verdict: Verdict) => void) | undefined;
}

/**
 * Where the raw nodes of HID devices go. Through one node all inputs of its device are read, so that it follows their
 * verdicts, and is placed again whenever one of them is judged again. One without any input is judged by itself.
 */
export class Hidraws {
  private readonly placed = new Map<string, Placement>();
  /** Those whose device has had inputs, as long as they are there. */
  private readonly hadInputs = new Set<string>();

  constructor(
    private readonly deps: HidrawsDeps,
    private readonly verdictOf: (unit: string) => Verdict | undefined,
    /** Judges one without any input, by the rules that ask for raw nodes; without a judge nobody gets such a one. */
    private readonly judge?: (raw: Unit) => Verdict | undefined,
  ) {}

  /** After these units were judged, or these raw nodes came or went; returns whose raw nodes it may have changed. */
  place(ids: Iterable<string>): { readonly seat: string; readonly raw: string }[] {
    const touched: { seat: string; raw: string }[] = [];
    for (const raw of this.deps.table.rawOf(ids)) {
      const before = this.placed.get(raw);
      const after = this.placeOne(raw, before);
      for (const placement of [before, after])
        if (placement?.kind === 'seat') touched.push({ seat: placement.claim.seat, raw });
    }
    return touched;
  }

  /** After another policy was adopted. */
  placeAll(): void {
    for (const raw of new Set([...this.placed.keys(), ...this.deps.table.raws()])) this.placeOne(raw, undefined);
  }

  /** The raw nodes that a seat gets. */
  of(seat: string): Grantee[] {
    return [...this.placed.keys()].flatMap((raw) => this.granteeOf(seat, raw) ?? []);
  }

  /** How a seat gets one; undefined when it does not. */
  granteeOf(seat: string, raw: string): Grantee | undefined {
    const placement = this.placed.get(raw);
    const unit = this.deps.table.rawUnit(raw);
    if (placement?.kind !== 'seat' || placement.claim.seat !== seat || unit === undefined) return undefined;
    return { unit, claim: placement.claim };
  }

  /** Whose one is: one seat's, or nobody's. */
  seatsOf(raw: string): string[] {
    const placement = this.placed.get(raw);
    return placement?.kind === 'seat' ? [placement.claim.seat] : [];
  }

  /** In words: raw nodes that a rule asks for and no seat gets; of one unit, or all of them. */
  withheld(unit?: string): { readonly device: string; readonly reason: string }[] {
    const wanted = unit === undefined ? [...this.placed.keys()] : [...this.deps.table.rawOf([unit])];
    return wanted.flatMap((raw) => {
      const placement = this.placed.get(raw);
      return placement?.kind === 'withheld' ? [{ device: `/dev/${basename(raw)}`, reason: placement.reason }] : [];
    });
  }

  /** Those of devices without any input, and where each of them is. */
  alone(): { readonly unit: Unit; readonly placement: Placement | undefined }[] {
    return [...this.deps.table.raws()].flatMap((raw) => {
      const unit = this.deps.table.rawUnit(raw);
      const isAlone = this.deps.table.readAt(raw).length === 0 && !this.hadInputs.has(raw);
      return unit !== undefined && isAlone ? [{ unit, placement: this.placed.get(raw) }] : [];
    });
  }

  /**
   * Raw nodes of devices with inputs, and their seats on the host. Only nodes to which the host gives its own users access, or
   * of which udev was told before: udev cannot know their seat by itself.
   */
  onHost(raws: Iterable<string> = this.deps.table.raws()): { readonly unit: Unit; readonly verdict: Verdict }[] {
    const { table } = this.deps;
    return [...raws].flatMap((raw) => {
      const unit = table.rawUnit(raw);
      const inputs = table.readAt(raw).map((id) => ({ id, name: basename(id), verdict: this.verdictOf(id) }));
      const isTold = unit?.head.properties['HOTSEAT_WITH'] !== undefined;
      if (unit === undefined || inputs.length === 0 || !(isTold || isAccessible(unit.head))) return [];
      // Of an input that nobody has judged yet nothing is known.
      return inputs.some(({ verdict }) => verdict === undefined || verdict.kind === 'unread')
        ? []
        : [{ unit, verdict: readerOf(inputs) }];
    });
  }

  /** Every raw node of a seat that udev was told of, or judges by itself. */
  judged(): { readonly unit: Unit; readonly verdict: Verdict }[] {
    const alone = this.alone().flatMap(({ unit, placement }) => {
      if (placement?.kind !== 'seat') return [];
      return [{ unit, verdict: { kind: 'seat', claims: [placement.claim], trace: [] } as const }];
    });
    return [...this.onHost(), ...alone];
  }

  private placeOne(raw: string, before: Placement | undefined): Placement | undefined {
    const { table } = this.deps;
    for (const { unit, verdict } of this.onHost([raw])) this.deps.along?.(unit, verdict);
    const unit = table.rawUnit(raw);
    this.placed.delete(raw);
    if (unit === undefined) this.hadInputs.delete(raw);
    if (unit === undefined) return undefined;
    if (!this.deps.isGuarded(unit)) return undefined;
    const inputs = table.readAt(raw).map((id): HidInput => ({ name: basename(id), verdict: this.verdictOf(id) }));
    if (inputs.length > 0) this.hadInputs.add(raw);
    let placement = inputs.length === 0 ? this.placeWithout(unit, before) : placementOf(inputs);
    if (placement === undefined) return undefined;
    if (placement.kind === 'seat') {
      const unheard = table.unheardAt(raw).map((name): HidInput => ({ name, verdict: undefined }));
      if (unheard.length > 0) placement = placementOf([...inputs, ...unheard]) ?? placement;
      placement = this.receivable(raw, placement, before);
    } else if (inputs.every(({ verdict }) => verdict !== undefined)) this.complain(raw, placement.reason, before);
    this.placed.set(raw, placement);
    return placement;
  }

  /** Unplugged, a device loses its inputs before its raw node: nothing is to be decided then. */
  private placeWithout(unit: Unit, before: Placement | undefined): Placement | undefined {
    if (this.hadInputs.has(unit.id) || this.deps.table.unheardAt(unit.id).length > 0) return before;
    if (this.judge === undefined) return { kind: 'withheld', reason: 'it has no input that says whose it is' };
    const verdict = this.judge(unit);
    const placement = verdict && placementAlone(verdict);
    // Whether it comes along with what was given by hand is not known either.
    const claim = verdict?.kind === 'unread' ? undefined : placement && this.lent(unit);
    return claim === undefined ? placement : { kind: 'seat', claim };
  }

  /** By hand it goes with the rest of its physical device. */
  private lent({ id }: Unit): Claim | undefined {
    const verdicts = this.deps.table.partsOf(id).map((part) => this.verdictOf(part.id));
    const claims = verdicts.flatMap((verdict) => (verdict?.kind === 'seat' ? verdict.claims : []));
    return claims.find(({ rule }) => isLoan(rule));
  }

  /** As a descriptor alone it would be no seat's that could lose it again. */
  private receivable(raw: string, placement: Placement, before: Placement | undefined): Placement {
    const isAsked = placement.kind === 'seat' && placement.claim.rule.receive === 'descriptor';
    const reason = isAsked ? rawRefusal(this.deps.kernel) : undefined;
    if (reason === undefined) return placement;
    this.complain(raw, reason, before);
    return { kind: 'withheld', reason };
  }

  private complain(raw: string, reason: string, before: Placement | undefined): void {
    if (before?.kind === 'withheld' && before.reason === reason) return;
    this.deps.log.warn({ device: `/dev/${basename(raw)}`, reason }, 'comes along with no input of its device');
  }
}
