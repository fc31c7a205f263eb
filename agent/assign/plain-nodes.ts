import type { Grantee } from '../core/desired.js';
import { type Device, type DeviceNumber, numberText, type Unit } from '../core/device.js';
import { plainId } from '../core/plain.js';
import type { PlainNode, Policy, Rule } from '../core/policy.js';
import type { DeviceTable } from '../udev/table.js';

export interface PlainNodesDeps {
  readonly table: Pick<DeviceTable, 'plainNumber'>;
  /** Whether a node opens for nobody who was not given it. */
  readonly isGuarded: (unit: Unit) => boolean;
}

/** Whose the nodes are that seat files name under `extra` and that udev knows no device of. They are looked for whenever somebody asks. */
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

  /** In words: those that seats lack, because this PC has none. */
  missing(): { readonly device: string; readonly reason: string }[] {
    return [...this.wanted].flatMap(([seat, nodes]) =>
      nodes.flatMap(({ name }) =>
        this.deps.table.plainNumber(name) === undefined
          ? [{ device: plainId(name), reason: `${seat} asks for it, and this PC has no such node: load its driver` }]
          : [],
      ),
    );
  }

  private grantee(seat: string, node: PlainNode): Grantee | undefined {
    const number = this.deps.table.plainNumber(node.name);
    if (number === undefined) return undefined;
    const grantee = granteeAt(seat, node, number);
    return this.deps.isGuarded(grantee.unit) ? grantee : undefined;
  }
}

/** How a seat gets a node that has this number now. */
function granteeAt(seat: string, { name, place }: PlainNode, number: DeviceNumber): Grantee {
  const id = plainId(name);
  const head: Device = {
    ...{ syspath: id, incarnation: numberText(number), subsystem: 'plain', sysname: name, devtype: undefined },
    ...{ node: id, number, properties: {}, tags: [], links: [], ancestors: [], attributes: {} },
  };
  const rule: Rule = {
    ...{ label: name, place, conditions: [], share: true, whole: false, access: {}, hidraw: false, byName: true },
    revoke: 'auto',
  };
  return { unit: { id, subsystem: 'plain', head, nodes: [head] }, claim: { seat, rule } };
}
