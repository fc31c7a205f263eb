import type { Grantee } from '../core/desired.js';
import { type Device, type DeviceNumber, numberText, type Unit } from '../core/device.js';
import { isPlainId, isPlainName, plainId } from '../core/plain.js';
import { lineOf, type PlainNode, type Policy, type Rule } from '../core/policy.js';
import type { Verdict } from '../core/verdict.js';
import type { DeviceTable } from '../udev/table.js';

export interface PlainNodesDeps {
  readonly table: Pick<DeviceTable, 'plainNumber'>;
  /** Whether a node opens for nobody who was not given it. */
  readonly isGuarded: (unit: Unit) => boolean;
}

/**
 * The nodes that seat files name under `extra` and that Hotseat does not follow in udev, and whose they are. They are looked for
 * whenever somebody asks.
 */
export class PlainNodes {
  private wanted: ReadonlyMap<string, readonly PlainNode[]> = new Map();

  constructor(private readonly deps: PlainNodesDeps) {}

  setPolicy({ seats }: Policy): void {
    this.wanted = new Map(seats.map(({ seat, nodes = [] }) => [seat, nodes]));
  }

  /** Those that a seat gets. */
  of(seat: string): Grantee[] {
    return (this.wanted.get(seat) ?? []).flatMap((node) => this.grantee(seat, node) ?? []);
  }

  /** How a seat gets one; undefined when it does not. */
  granteeOf(seat: string, id: string): Grantee | undefined {
    const node = (this.wanted.get(seat) ?? []).find(({ name }) => plainId(name) === id);
    return node && this.grantee(seat, node);
  }

  /** The seats that one is for. */
  seatsOf(id: string): string[] {
    return [...this.wanted].flatMap(([seat, nodes]) => (nodes.some(({ name }) => plainId(name) === id) ? [seat] : []));
  }

  /** In words: those that seats lack, and why. */
  withheld(): { readonly device: string; readonly reason: string }[] {
    return [...this.wanted].flatMap(([seat, nodes]) =>
      nodes.flatMap((node) => {
        if (this.grantee(seat, node) !== undefined) return [];
        const isThere = this.deps.table.plainNumber(node.name) !== undefined;
        const why = isThere
          ? 'the guard cannot be made to cover it: the log says why'
          : 'this PC has no such node, or it is not of that driver: load the driver';
        return [{ device: plainId(node.name), reason: `${seat} (${lineOf(node.place)}) asks for it, and ${why}` }];
      }),
    );
  }

  /**
   * One of these, by its name or path, as a unit with its verdict. Undefined for a node that is not there and that no seat asks for,
   * and for all other names. Nothing is looked at for those: anybody may ask, and a path of his own may never answer.
   */
  find(wanted: string): { readonly unit: Unit; readonly verdict: Verdict } | undefined {
    const name = isPlainId(wanted) ? wanted.slice(plainId('').length) : wanted;
    if (!isPlainName(name)) return undefined;
    const number = this.deps.table.plainNumber(name);
    const claims = [...this.wanted].flatMap(([seat, nodes]) =>
      nodes.flatMap((node) => (node.name === name ? [{ seat, rule: ruleOf(node) }] : [])),
    );
    if (number === undefined && claims.length === 0) return undefined;
    const verdict: Verdict = claims.length === 0 ? { kind: 'host', trace: [] } : { kind: 'seat', claims, trace: [] };
    return { unit: unitAt(name, number), verdict };
  }

  private grantee(seat: string, node: PlainNode): Grantee | undefined {
    const number = this.deps.table.plainNumber(node.name);
    if (number === undefined) return undefined;
    const unit = unitAt(node.name, number);
    return this.deps.isGuarded(unit) ? { unit, claim: { seat, rule: ruleOf(node) } } : undefined;
  }
}

function unitAt(name: string, number: DeviceNumber | undefined): Unit {
  const id = plainId(name);
  const head: Device = {
    ...{
      syspath: id,
      incarnation: number && numberText(number),
      subsystem: 'plain',
      sysname: name,
      devtype: undefined,
    },
    ...{ node: id, number, properties: {}, tags: [], links: [], ancestors: [], attributes: {} },
  };
  return { id, subsystem: 'plain', head, nodes: number === undefined ? [] : [head] };
}

const ruleOf = ({ name, place }: PlainNode): Rule => ({
  ...{ label: name, place, conditions: [], share: true, whole: false, access: {}, hidraw: false, byName: true },
  revoke: 'auto',
});
