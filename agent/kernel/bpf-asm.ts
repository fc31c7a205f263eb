/** A register of the BPF machine: r0 result, r1–r5 arguments, r6–r9 kept over calls, r10 frame pointer (RFC 9669). */
export type Register = 0 | 1 | 2 | 3 | 4 | 5 | 6 | 7 | 8 | 9 | 10;

const code = {
  movImmediate: 0xb7,
  mov: 0xbf,
  addImmediate: 0x07,
  add: 0x0f,
  andImmediate: 0x57,
  shiftRight: 0x77,
  shiftLeft: 0x67,
  load16: 0x69,
  load32: 0x61,
  load64: 0x79,
  store32: 0x63,
  store64: 0x7b,
  storeImmediate64: 0x7a,
  atomic64: 0xdb,
  jump: 0x05,
  jumpEqualImmediate: 0x15,
  jumpNotEqualImmediate: 0x55,
  jumpEqual: 0x1d,
  jumpAbove32: 0x26,
  jumpBelow32: 0xa6,
  call: 0x85,
  exit: 0x95,
  loadImmediate64: 0x18,
} as const;

/** Helper functions of the kernel, by number (linux/bpf.h). */
export const helper = {
  lookup: 1,
  currentUidGid: 15,
  probeReadKernel: 113,
  probeReadKernelText: 115,
  currentAncestorCgroupId: 123,
  seqWrite: 127,
  getAnswer: 186, // bpf_get_retval
  setAnswer: 187, // bpf_set_retval
} as const;

/** Puts a program together, instruction by instruction; jumps name labels and are resolved by `build`. */
export class Assembler {
  private readonly slots: Buffer[] = [];
  private readonly labels = new Map<string, number>();
  private readonly jumps: { readonly slot: number; readonly label: string }[] = [];

  label(name: string): this {
    this.labels.set(name, this.slots.length);
    return this;
  }

  set = (to: Register, value: number): this => this.emit(code.movImmediate, to, 0, 0, value);
  move = (to: Register, from: Register): this => this.emit(code.mov, to, from, 0, 0);
  add = (to: Register, value: number): this => this.emit(code.addImmediate, to, 0, 0, value);
  addRegister = (to: Register, from: Register): this => this.emit(code.add, to, from, 0, 0);
  and = (to: Register, value: number): this => this.emit(code.andImmediate, to, 0, 0, value);
  shiftRight = (to: Register, bits: number): this => this.emit(code.shiftRight, to, 0, 0, bits);
  shiftLeft = (to: Register, bits: number): this => this.emit(code.shiftLeft, to, 0, 0, bits);
  load16 = (to: Register, from: Register, offset: number): this => this.emit(code.load16, to, from, offset, 0);
  load32 = (to: Register, from: Register, offset: number): this => this.emit(code.load32, to, from, offset, 0);
  load64 = (to: Register, from: Register, offset: number): this => this.emit(code.load64, to, from, offset, 0);
  store32 = (to: Register, offset: number, from: Register): this => this.emit(code.store32, to, from, offset, 0);
  store64 = (to: Register, offset: number, from: Register): this => this.emit(code.store64, to, from, offset, 0);
  zero64 = (to: Register, offset: number): this => this.emit(code.storeImmediate64, to, 0, offset, 0);
  atomicAdd64 = (to: Register, offset: number, from: Register): this => this.emit(code.atomic64, to, from, offset, 0);
  call = (number: number): this => this.emit(code.call, 0, 0, 0, number);
  exit = (): this => this.emit(code.exit, 0, 0, 0, 0);
  jump = (label: string): this => this.branch(code.jump, 0, 0, 0, label);
  ifEqual = (a: Register, value: number, label: string): this =>
    this.branch(code.jumpEqualImmediate, a, 0, value, label);
  ifNotEqual = (a: Register, value: number, label: string): this =>
    this.branch(code.jumpNotEqualImmediate, a, 0, value, label);
  /** Of the lower 32 bits, unsigned. */
  ifAbove32 = (a: Register, value: number, label: string): this => this.branch(code.jumpAbove32, a, 0, value, label);
  ifBelow32 = (a: Register, value: number, label: string): this => this.branch(code.jumpBelow32, a, 0, value, label);
  ifSame = (a: Register, b: Register, label: string): this => this.branch(code.jumpEqual, a, b, 0, label);

  /** A 64-bit constant takes two slots. */
  set64(to: Register, value: bigint): this {
    this.emit(code.loadImmediate64, to, 0, 0, Number(BigInt.asIntN(32, value)));
    return this.emit(0, 0, 0, 0, Number(BigInt.asIntN(32, value >> 32n)));
  }

  /** The address of a map, given by descriptor (BPF_PSEUDO_MAP_FD). */
  setMap(to: Register, map: number): this {
    this.emit(code.loadImmediate64, to, 1, 0, map);
    return this.emit(0, 0, 0, 0, 0);
  }

  build(): Buffer {
    for (const { slot, label } of this.jumps) {
      const target = this.labels.get(label);
      if (target === undefined) throw new Error(`no label ${label}`);
      this.slots[slot]?.writeInt16LE(target - slot - 1, 2);
    }
    return Buffer.concat(this.slots);
  }

  private branch(opcode: number, a: number, b: number, value: number, label: string): this {
    this.jumps.push({ slot: this.slots.length, label });
    return this.emit(opcode, a, b, 0, value);
  }

  private emit(opcode: number, to: number, from: number, offset: number, value: number): this {
    const slot = Buffer.alloc(8);
    slot.writeUInt8(opcode, 0);
    slot.writeUInt8((from << 4) | to, 1);
    slot.writeInt16LE(offset, 2);
    slot.writeInt32LE(value | 0, 4);
    this.slots.push(slot);
    return this;
  }
}
