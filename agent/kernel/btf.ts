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
type Members = Readonly<Record<string, number>>;

/** The layouts of structures, by name: several may have one. Ids of functions among the types. */
export interface KernelTypes {
  readonly structures: Readonly<Record<string, readonly Members[]>>;
  readonly functions: Readonly<Record<string, number>>;
}

/**
 * From the kernel's own description of its types (`/sys/kernel/btf/vmlinux`), those of structures and functions with the given
 * names. All names are looked for at once: there are some hundred thousand types.
 */
export function typesIn(btf: Buffer, names: readonly string[]): KernelTypes {
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
  const functions: Record<string, number> = {};
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
      if (name !== undefined && kind === functionKind) functions[name] = id;
      else if (name !== undefined) found.push([name, at]);
    }
    const bytes = extra[kind];
    at += bytes === undefined ? 12 : 12 + bytes[0] + bytes[1] * (info & 0xffff);
  }
  const structures: Record<string, Members[]> = {};
  for (const [name, at] of found) {
    const members: Record<string, number> = {};
    addMembers(members, { view, nameAt, places }, at, 0);
    structures[name] = [...(structures[name] ?? []), members];
  }
  return { structures, functions };
}

/** Questions about types of the kernel's. */
export class Btf {
  constructor(private readonly types: KernelTypes) {}

  /** Offset in bytes of a member of a structure; undefined when there is no such structure or member. */
  memberOffset(structure: string, member: string): number | undefined {
    for (const members of this.types.structures[structure] ?? []) {
      const offset = members[member];
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
    return this.types.functions[name];
  }
}

interface Types {
  readonly view: DataView;
  readonly nameAt: (offset: number) => string;
  /** Where each type is, by id. */
  readonly places: readonly number[];
}

/** Members of the structure or union at a place, `base` bytes into another one. Those of an unnamed member are its own. */
function addMembers(members: Record<string, number>, types: Types, at: number, base: number): void {
  const { view, nameAt, places } = types;
  const info = view.getUint32(at + 4, true);
  for (let index = 0; index < (info & 0xffff); index++) {
    const field = at + 12 + index * 12;
    const name = view.getUint32(field, true);
    const bits = view.getUint32(field + 8, true);
    // With the kind flag set, the upper eight bits are the width of a bit field.
    const offset = base + (info >>> 31 === 1 ? bits & 0xffffff : bits) / 8;
    if (name !== 0) members[nameAt(name)] = offset;
    else addMembers(members, types, places[view.getUint32(field + 4, true)] ?? at, offset);
  }
}
