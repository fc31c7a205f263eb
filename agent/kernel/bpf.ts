import { isSysError, SysError } from './errors.js';
import { address, syscall } from './libc.js';

/** Commands of bpf(2), from linux/bpf.h. */
const command = {
  mapCreate: 0,
  lookup: 1,
  update: 2,
  delete: 3,
  load: 5,
  pin: 6,
  get: 7,
  attach: 8,
  detach: 9,
  programById: 13,
  mapById: 14,
  info: 15,
  query: 16,
  lookupBatch: 24,
  linkCreate: 28,
  iterCreate: 33,
} as const;

const attachType = { cgroupDevice: 6, modifyReturn: 26, traceIter: 28, perfEvent: 41 } as const;

/** BPF_PROG_TYPE_…, with the BPF_… that the program is attached as. */
export const programType = {
  kprobe: { type: 2, attached: 0 },
  cgroupDevice: { type: 15, attached: attachType.cgroupDevice },
  iterator: { type: 26, attached: attachType.traceIter },
  modifyReturn: { type: 26, attached: attachType.modifyReturn },
} as const;

const attachFlag = { multi: 2, replace: 4 } as const;
const hashMap = 1;
const logSize = 256 * 1024;
/**
 * A signal, such as SIGCHLD, ends the verifier with EAGAIN (kernel/bpf/verifier.c, do_check). libbpf tries five times: on a busy machine, a
 * profiler that asks for a signal 2,000 times a second was seen to use these up.
 */
const loadAttempts = 50;

/** Facts of the kernel about a loaded program. */
export interface ProgramInfo {
  readonly id: number;
  readonly name: string;
  /** Hash of its instructions, hex. */
  readonly tag: string;
  readonly mapIds: readonly number[];
  /** Its instructions as the verifier left them. */
  readonly instructions: Buffer;
}

/** `held`: buffers whose addresses are in the attributes; they must outlive the call. */
function bpf(name: keyof typeof command, what: string, attributes: Buffer, ...held: readonly Buffer[]): number {
  const result = syscall('bpf', `${name} ${what}`, command[name], attributes, attributes.length);
  return held.length >= 0 ? result : 0;
}

function attributes(size: number, fill: (buffer: Buffer) => void): Buffer {
  const buffer = Buffer.alloc(size);
  fill(buffer);
  return buffer;
}

/** A hash map; it lives as long as a descriptor or a program that uses it (BPF_MAP_CREATE). */
export function createHash(name: string, keySize: number, valueSize: number, entries: number): number {
  const request = attributes(72, (a) => {
    [hashMap, keySize, valueSize, entries].forEach((value, index) => {
      a.writeUInt32LE(value, index * 4);
    });
    a.write(name.slice(0, 15), 28, 'latin1');
  });
  return bpf('mapCreate', name, request);
}

function element(map: number, key: Buffer, value: Buffer | undefined, flags: bigint): Buffer {
  return attributes(32, (a) => {
    a.writeUInt32LE(map, 0);
    a.writeBigUInt64LE(address(key), 8);
    if (value !== undefined) a.writeBigUInt64LE(address(value), 16);
    a.writeBigUInt64LE(flags, 24);
  });
}

/** The value under a key, undefined when there is none. */
export function lookup(map: number, key: Buffer, valueSize: number): Buffer | undefined {
  const value = Buffer.alloc(valueSize);
  return present(() => bpf('lookup', 'map', element(map, key, value, 0n), key, value)) ? value : undefined;
}

/** Writes the value under a key (BPF_MAP_UPDATE_ELEM). */
export const update = (map: number, key: Buffer, value: Buffer): void => {
  bpf('update', 'map', element(map, key, value, 0n), key, value);
};

/** Adds a value unless the key is there; returns whether it was added. */
export function insert(map: number, key: Buffer, value: Buffer): boolean {
  try {
    bpf('update', 'map', element(map, key, value, 1n /* BPF_NOEXIST */), key, value);
    return true;
  } catch (error) {
    if (isSysError(error, 'EEXIST')) return false;
    throw error;
  }
}

/** Removes a key. A missing key is no error. */
export const remove = (map: number, key: Buffer): void => {
  present(() => bpf('delete', 'map', element(map, key, undefined, 0n), key));
};

/**
 * All keys and values of a hash in one call (BPF_MAP_LOOKUP_BATCH, 5.6 and newer), `count` of them one behind another.
 * `entries`: the size of the map. With room for all entries there is no second batch: the kernel ends with ENOENT and
 * the number of entries that it wrote.
 */
export function elements(
  map: number,
  keySize: number,
  valueSize: number,
  entries: number,
): { count: number; keys: Buffer; values: Buffer } {
  const keys = Buffer.alloc(entries * keySize);
  const values = Buffer.alloc(entries * valueSize);
  const position = Buffer.alloc(4);
  const request = attributes(56, (a) => {
    a.writeBigUInt64LE(address(position), 8);
    a.writeBigUInt64LE(address(keys), 16);
    a.writeBigUInt64LE(address(values), 24);
    a.writeUInt32LE(entries, 32);
    a.writeUInt32LE(map, 36);
  });
  present(() => bpf('lookupBatch', 'map', request, position, keys, values));
  return { count: request.readUInt32LE(32), keys, values };
}

function present(action: () => void): boolean {
  try {
    action();
    return true;
  } catch (error) {
    if (isSysError(error, 'ENOENT')) return false;
    throw error;
  }
}

/**
 * Loads a program. The error has the verifier's reasons. `target`: for an iterator, the BTF id of the kernel
 * function that stands for it; else that of the function before which it runs.
 */
export function load(
  { type, attached }: (typeof programType)[keyof typeof programType],
  name: string,
  instructions: Buffer,
  target = 0,
): number {
  // Helpers that read kernel memory are for GPL-compatible programs; the BPF programs alone are offered under both.
  const licence = Buffer.from('Dual MIT/GPL\0');
  const request = (log: Buffer | undefined) =>
    attributes(112, (a) => {
      a.writeUInt32LE(type, 0);
      a.writeUInt32LE(instructions.length / 8, 4);
      a.writeBigUInt64LE(address(instructions), 8);
      a.writeBigUInt64LE(address(licence), 16);
      if (log !== undefined) {
        a.writeUInt32LE(1, 24);
        a.writeUInt32LE(log.length, 28);
        a.writeBigUInt64LE(address(log), 32);
      }
      a.write(name.slice(0, 15), 48, 'latin1');
      a.writeUInt32LE(attached, 68);
      a.writeUInt32LE(target, 108);
    });
  const tryLoad = (log?: Buffer): number => {
    for (let attempt = 1; ; attempt++) {
      try {
        return bpf('load', name, request(log), instructions, licence, ...(log === undefined ? [] : [log]));
      } catch (error) {
        if (attempt === loadAttempts || !isSysError(error, 'EAGAIN')) throw error;
      }
    }
  };
  try {
    return tryLoad();
  } catch (error) {
    if (!(error instanceof SysError)) throw error;
    const log = Buffer.alloc(logSize);
    try {
      return tryLoad(log);
    } catch {
      const text = log.toString('latin1', 0, log.indexOf(0)).trim().split('\n').slice(-6).join('; ');
      throw new SysError('bpf', error.errno, `load ${name}${text === '' ? '' : `: ${text}`}`);
    }
  }
}

/** Attaches a device program to a cgroup, beside others, or in the place of a present program, in one instant. */
export const attach = (cgroup: number, program: number, replace?: number): void =>
  attachWith(cgroup, program, attachFlag.multi | (replace === undefined ? 0 : attachFlag.replace), replace);

/**
 * Takes the place of the only program of a cgroup where it was attached without BPF_F_ALLOW_MULTI: there the same flags
 * replace it, and BPF_F_REPLACE is refused (kernel/bpf/cgroup.c, __cgroup_bpf_attach).
 */
export const attachAlone = (cgroup: number, program: number, flags: number): void => attachWith(cgroup, program, flags);

function attachWith(cgroup: number, program: number, flags: number, replace = 0): void {
  const request = attributes(20, (a) => {
    [cgroup, program, attachType.cgroupDevice, flags, replace].forEach((value, index) => {
      a.writeUInt32LE(value, index * 4);
    });
  });
  bpf('attach', 'device program', request);
}

/** Takes a device program off a cgroup. */
export function detach(cgroup: number, program: number): void {
  const request = attributes(20, (a) => {
    a.writeUInt32LE(cgroup, 0);
    a.writeUInt32LE(program, 4);
    a.writeUInt32LE(attachType.cgroupDevice, 8);
  });
  bpf('detach', 'device program', request);
}

/** Ids of the device programs attached to this very cgroup, and with which flags (BPF_PROG_QUERY). */
export function attached(cgroup: number): { ids: number[]; multi: boolean; flags: number } {
  const ids = Buffer.alloc(4 * 64);
  const request = attributes(64, (a) => {
    a.writeUInt32LE(cgroup, 0);
    a.writeUInt32LE(attachType.cgroupDevice, 4);
    a.writeBigUInt64LE(address(ids), 16);
    a.writeUInt32LE(64, 24);
  });
  bpf('query', 'cgroup', request, ids);
  const flags = request.readUInt32LE(12);
  const count = request.readUInt32LE(24);
  return {
    ids: Array.from({ length: count }, (_, index) => ids.readUInt32LE(index * 4)),
    multi: (flags & attachFlag.multi) !== 0,
    flags,
  };
}

const byId = (name: 'programById' | 'mapById', id: number): number =>
  bpf(
    name,
    `id ${id}`,
    attributes(12, (a) => a.writeUInt32LE(id, 0)),
  );

/** A descriptor of a loaded program; the caller closes it. */
export const programById = (id: number): number => byId('programById', id);
/** A descriptor of a map; the caller closes it. */
export const mapById = (id: number): number => byId('mapById', id);

function info(fd: number, buffer: Buffer, ...held: readonly Buffer[]): Buffer {
  const request = attributes(16, (a) => {
    a.writeUInt32LE(fd, 0);
    a.writeUInt32LE(buffer.length, 4);
    a.writeBigUInt64LE(address(buffer), 8);
  });
  bpf('info', 'object', request, buffer, ...held);
  return buffer;
}

/** struct bpf_prog_info (linux/bpf.h). */
export function programInfo(fd: number): ProgramInfo {
  const first = info(fd, Buffer.alloc(128));
  const instructions = Buffer.alloc(first.readUInt32LE(20));
  const maps = Buffer.alloc(4 * first.readUInt32LE(52));
  const second = Buffer.alloc(128);
  second.writeUInt32LE(instructions.length, 20);
  second.writeBigUInt64LE(address(instructions), 32);
  second.writeUInt32LE(maps.length / 4, 52);
  second.writeBigUInt64LE(address(maps), 56);
  info(fd, second, instructions, maps);
  return {
    id: second.readUInt32LE(4),
    name: text(second.subarray(64, 80)),
    tag: second.subarray(8, 16).toString('hex'),
    mapIds: Array.from({ length: maps.length / 4 }, (_, index) => maps.readUInt32LE(index * 4)),
    instructions,
  };
}

/** Name of a map (struct bpf_map_info). */
export const mapName = (fd: number): string => text(info(fd, Buffer.alloc(88)).subarray(24, 40));

/** How many entries a map has room for (struct bpf_map_info, max_entries). */
export const mapEntries = (fd: number): number => info(fd, Buffer.alloc(88)).readUInt32LE(16);

/** Id of a map. Programs that use the map name it by this id. */
export const mapId = (fd: number): number => info(fd, Buffer.alloc(88)).readUInt32LE(4);

const text = (bytes: Buffer): string => bytes.toString('latin1').split('\0')[0] ?? '';

/** Ties a program to a perf event for as long as the link, or its pin, lives (5.15 and newer). */
export const linkPerfEvent = (program: number, event: number): number =>
  link('perf event', program, event, attachType.perfEvent);

/** Has a program run before the kernel function that it was loaded for, as long as the link lives (5.7 and newer). */
export const linkBefore = (program: number): number => link('kernel function', program, 0, attachType.modifyReturn);

/** Ties a program to the iterator that it was loaded for (5.8 and newer). The caller closes the link. */
export const linkIterator = (program: number): number => link('iterator', program, 0, attachType.traceIter);

/** The same for one thread alone (6.1 and newer; union bpf_iter_link_info, task.tid). */
export function linkThreadIterator(program: number, tid: number): number {
  const which = Buffer.alloc(16);
  which.writeUInt32LE(tid, 0);
  const request = attributes(64, (a) => {
    a.writeUInt32LE(program, 0);
    a.writeUInt32LE(attachType.traceIter, 8);
    a.writeBigUInt64LE(address(which), 16);
    a.writeUInt32LE(which.length, 24);
  });
  return bpf('linkCreate', `iterator of thread ${tid}`, request, which);
}

const link = (what: string, program: number, target: number, type: number): number =>
  bpf(
    'linkCreate',
    what,
    attributes(64, (a) => {
      a.writeUInt32LE(program, 0);
      a.writeUInt32LE(target, 4);
      a.writeUInt32LE(type, 8);
    }),
  );

/** A descriptor for one round: reading it gives the text that the program writes. The caller closes it. */
export const openIterator = (link: number): number =>
  bpf(
    'iterCreate',
    'iterator',
    attributes(8, (a) => a.writeUInt32LE(link, 0)),
  );

/** Keeps an object alive under a path of a bpf file system. */
export function pin(fd: number, path: string): void {
  const name = Buffer.from(`${path}\0`);
  const request = attributes(16, (a) => {
    a.writeBigUInt64LE(address(name), 0);
    a.writeUInt32LE(fd, 8);
  });
  bpf('pin', path, request, name);
}
