/** Bytes that follow a type's first twelve, by kind: fixed, and for each member (Documentation/bpf/btf.rst). */
const extra: Readonly<Record<number, readonly [fixed: number, each: number]>> = {
  1: [4, 0], // INT
  3: [12, 0], // ARRAY
  4: [0, 12], // STRUCT
  5: [0, 12], // UNION
  6: [0, 8], // ENUM
  13: [0, 8], // FUNC_PROTO
  14: [4, 0], // VAR
  15: [0, 12], // DATASEC
  17: [4, 0], // DECL_TAG
  19: [0, 12], // ENUM64
};
const structKind = 4;
const functionKind = 12;

/** Members of a kernel structure, and their offsets in bytes. */
type Members = ReadonlyMap<string, number>;

/**
 * The kernel's own description of its types (`/sys/kernel/btf/vmlinux`), for structures and functions with the given names
 * alone. All names are looked for at once: there are some hundred thousand types.
 */
export class Btf {
  private readonly structures = new Map<string, Members[]>();
  private readonly functions = new Map<string, number>();

  constructor(btf: Buffer, names: readonly string[]) {
    if (btf.readUInt16LE(0) !== 0xeb9f) throw new Error('not a BTF file');
    const header = btf.readUInt32LE(4);
    const types = header + btf.readUInt32LE(8);
    const end = types + btf.readUInt32LE(12);
    const strings = header + btf.readUInt32LE(16);
    const nameAt = (offset: number) => btf.toString('latin1', strings + offset, btf.indexOf(0, strings + offset));
    // Each string is there once (btf__dedup in libbpf), and the first one is empty: places are compared, and no strings.
    const wanted = new Map<number, string>();
    for (const name of names) {
      const place = btf.indexOf(`\0${name}\0`, strings, 'latin1') + 1 - strings;
      if (place > 0) wanted.set(place, name);
    }
    const view = new DataView(btf.buffer, btf.byteOffset, btf.byteLength);
    /** Of each structure that is wanted, where it is; and of every type, by id. */
    const found: (readonly [name: string, at: number])[] = [];
    const places: number[] = [0];
    // Ids begin with 1; 0 is `void`.
    for (let at = types, id = 1; at < end; id++) {
      places.push(at);
      const info = view.getUint32(at + 4, true);
      const kind = (info >>> 24) & 0x1f;
      if (kind === structKind || kind === functionKind) {
        const name = wanted.get(view.getUint32(at, true));
        if (name !== undefined && kind === functionKind) this.functions.set(name, id);
        else if (name !== undefined) found.push([name, at]);
      }
      const bytes = extra[kind];
      at += bytes === undefined ? 12 : 12 + bytes[0] + bytes[1] * (info & 0xffff);
    }
    for (const [name, at] of found) {
      const members = new Map<string, number>();
      addMembers(members, { view, nameAt, places }, at, 0);
      this.structures.set(name, [...(this.structures.get(name) ?? []), members]);
    }
  }

  /** Offset in bytes of a member of a structure; undefined when there is no such structure or member. */
  memberOffset(structure: string, member: string): number | undefined {
    for (const members of this.structures.get(structure) ?? []) {
      const offset = members.get(member);
      if (offset !== undefined) return offset;
    }
    return undefined;
  }

  /** The same. @throws Error when there is none. */
  offsetOf(structure: string, member: string): number {
    const found = this.memberOffset(structure, member);
    if (found === undefined) throw new Error(`the kernel does not describe ${structure}.${member}`);
    return found;
  }

  /** Id of a function among the types; undefined when there is none of this name. */
  functionId(name: string): number | undefined {
    return this.functions.get(name);
  }
}

interface Types {
  readonly view: DataView;
  readonly nameAt: (offset: number) => string;
  /** Where each type is, by id. */
  readonly places: readonly number[];
}

/** Members of the structure or union at a place, `base` bytes into another one. Those of an unnamed member are its own. */
function addMembers(members: Map<string, number>, types: Types, at: number, base: number): void {
  const { view, nameAt, places } = types;
  const info = view.getUint32(at + 4, true);
  for (let index = 0; index < (info & 0xffff); index++) {
    const field = at + 12 + index * 12;
    const name = view.getUint32(field, true);
    const bits = view.getUint32(field + 8, true);
    // With the kind flag set, the upper eight bits are the width of a bit field.
    const offset = base + (info >>> 31 === 1 ? bits & 0xffffff : bits) / 8;
    if (name !== 0) members.set(nameAt(name), offset);
    else addMembers(members, types, places[view.getUint32(field + 4, true)] ?? at, offset);
  }
}
