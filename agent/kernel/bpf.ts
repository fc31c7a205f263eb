import { isSysError, SysError } from './errors.js';
import { address, syscall } from './libc.js';

/** Commands of bpf(2), from linux/bpf.h. */
const command = {
  mapCreate: 0,
  lookup: 1,
  update: 2,
  delete: 3,
  nextKey: 4,
  load: 5,
  pin: 6,
  get: 7,
  attach: 8,
  detach: 9,
  programById: 13,
  mapById: 14,
  info: 15,
  query: 16,
  linkCreate: 28,
} as const;

export const programType = { kprobe: 2, cgroupDevice: 15 } as const;

const attachType = { cgroupDevice: 6, perfEvent: 41 } as const;
const attachFlag = { multi: 2, replace: 4 } as const;
const hashMap = 1;
const logSize = 256 * 1024;

/** What the kernel tells of a loaded program. */
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

/** Removes a key; one that is not there is fine. */
export const remove = (map: number, key: Buffer): void => {
  present(() => bpf('delete', 'map', element(map, key, undefined, 0n), key));
};

/** All keys. A key that is removed meanwhile makes the kernel start over: keys may come twice, none is missed. */
export function keys(map: number, keySize: number): Buffer[] {
  const found: Buffer[] = [];
  let last = Buffer.alloc(0);
  for (;;) {
    const next = Buffer.alloc(keySize);
    const from = last;
    if (!present(() => bpf('nextKey', 'map', element(map, from, next, 0n), from, next))) return found;
    found.push(next);
    last = next;
  }
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

/** Loads a program; what the verifier has against it is in the error. */
export function load(type: number, name: string, instructions: Buffer): number {
  // Helpers that read kernel memory are for GPL-compatible programs; the BPF programs alone are offered under both.
  const licence = Buffer.from('Dual MIT/GPL\0');
  const request = (log: Buffer | undefined) =>
    attributes(72, (a) => {
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
      a.writeUInt32LE(type === programType.cgroupDevice ? attachType.cgroupDevice : 0, 68);
    });
  try {
    return bpf('load', name, request(undefined), instructions, licence);
  } catch (error) {
    if (!(error instanceof SysError)) throw error;
    const log = Buffer.alloc(logSize);
    try {
      return bpf('load', name, request(log), instructions, licence, log);
    } catch {
      const text = log.toString('latin1', 0, log.indexOf(0)).trim().split('\n').slice(-6).join('; ');
      throw new SysError('bpf', error.errno, `load ${name}${text === '' ? '' : `: ${text}`}`);
    }
  }
}

/** Attaches a device program to a cgroup, beside others; or in the place of one that is there. */
export function attach(cgroup: number, program: number, replace?: number): void {
  const request = attributes(20, (a) => {
    a.writeUInt32LE(cgroup, 0);
    a.writeUInt32LE(program, 4);
    a.writeUInt32LE(attachType.cgroupDevice, 8);
    a.writeUInt32LE(attachFlag.multi | (replace === undefined ? 0 : attachFlag.replace), 12);
    a.writeUInt32LE(replace ?? 0, 16);
  });
  bpf('attach', 'device program', request);
}

export function detach(cgroup: number, program: number): void {
  const request = attributes(20, (a) => {
    a.writeUInt32LE(cgroup, 0);
    a.writeUInt32LE(program, 4);
    a.writeUInt32LE(attachType.cgroupDevice, 8);
  });
  bpf('detach', 'device program', request);
}

/** Ids of the device programs attached to this very cgroup. */
export function attached(cgroup: number): { ids: number[]; flags: number } {
  const ids = Buffer.alloc(4 * 64);
  const request = attributes(64, (a) => {
    a.writeUInt32LE(cgroup, 0);
    a.writeUInt32LE(attachType.cgroupDevice, 4);
    a.writeBigUInt64LE(address(ids), 16);
    a.writeUInt32LE(64, 24);
  });
  bpf('query', 'cgroup', request, ids);
  const count = request.readUInt32LE(24);
  return {
    ids: Array.from({ length: count }, (_, index) => ids.readUInt32LE(index * 4)),
    flags: request.readUInt32LE(12),
  };
}

const byId = (name: 'programById' | 'mapById', id: number): number =>
  bpf(
    name,
    `id ${id}`,
    attributes(12, (a) => a.writeUInt32LE(id, 0)),
  );

export const programById = (id: number): number => byId('programById', id);
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

export const mapId = (fd: number): number => info(fd, Buffer.alloc(88)).readUInt32LE(4);

const text = (bytes: Buffer): string => bytes.toString('latin1').split('\0')[0] ?? '';

/** Ties a program to a perf event for as long as the link, or its pin, lives (5.15 and newer). */
export const linkPerfEvent = (program: number, event: number): number =>
  bpf(
    'linkCreate',
    'perf event',
    attributes(64, (a) => {
      a.writeUInt32LE(program, 0);
      a.writeUInt32LE(event, 4);
      a.writeUInt32LE(attachType.perfEvent, 8);
    }),
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
