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

/**
 * Offset in bytes of a member of a kernel structure, from the kernel's own description of its types
 * (`/sys/kernel/btf/vmlinux`); undefined when there is no such structure or member.
 */
export function memberOffset(btf: Buffer, structure: string, member: string): number | undefined {
  let offset: number | undefined;
  search(btf, structKind, structure, ({ at, info, nameAt }) => {
    for (let index = 0; index < (info & 0xffff) && offset === undefined; index++) {
      const field = at + 12 + index * 12;
      if (nameAt(btf.readUInt32LE(field)) !== member) continue;
      const bits = btf.readUInt32LE(field + 8);
      // With the kind flag set, the upper eight bits are the width of a bit field.
      offset = (info >>> 31 === 1 ? bits & 0xffffff : bits) / 8;
    }
    return offset !== undefined;
  });
  return offset;
}

/** Id of a kernel function among these types; undefined when there is none of this name. */
export function functionId(btf: Buffer, name: string): number | undefined {
  let found: number | undefined;
  search(btf, functionKind, name, ({ id }) => {
    found = id;
    return true;
  });
  return found;
}

interface Type {
  /** Ids begin with 1; 0 is `void`. */
  readonly id: number;
  readonly at: number;
  readonly info: number;
  readonly nameAt: (offset: number) => string;
}

/**
 * Goes through all types of a kind and a name until one is the wanted type. There are some hundred thousand. It
 * compares the places of their names, and makes no name a string.
 */
function search(btf: Buffer, kind: number, name: string, isIt: (type: Type) => boolean): void {
  if (btf.readUInt16LE(0) !== 0xeb9f) throw new Error('not a BTF file');
  const header = btf.readUInt32LE(4);
  const types = header + btf.readUInt32LE(8);
  const end = types + btf.readUInt32LE(12);
  const strings = header + btf.readUInt32LE(16);
  // Each string is there once (btf__dedup in libbpf), and the first one is empty.
  const named = btf.indexOf(`\0${name}\0`, strings, 'latin1') + 1 - strings;
  if (named <= 0) return;
  const nameAt = (offset: number) => btf.toString('latin1', strings + offset, btf.indexOf(0, strings + offset));
  const view = new DataView(btf.buffer, btf.byteOffset, btf.byteLength);
  for (let at = types, id = 1; at < end; id++) {
    const info = view.getUint32(at + 4, true);
    const itsKind = (info >>> 24) & 0x1f;
    if (itsKind === kind && view.getUint32(at, true) === named && isIt({ id, at, info, nameAt })) return;
    const bytes = extra[itsKind];
    at += bytes === undefined ? 12 : 12 + bytes[0] + bytes[1] * (info & 0xffff);
  }
}
