/*
 * seatd's protocol (seatd 0.9.1, include/protocol.h): a header of two 16-bit numbers, operation and size of the rest,
 * in the machine's own byte order, which is little-endian wherever this runs. No version is negotiated.
 */

/** As libseat has them: longest path and name with their NUL, and most devices of one client. */
export const limits = { path: 256, seatName: 64, devices: 128 } as const;

const headerSize = 4;
/** The longest message of a client: OPEN_DEVICE. */
export const longestRequest = headerSize + 2 + limits.path;

/** The requests of a client. */
export type SeatdRequest =
  | { readonly ask: 'open-seat' }
  | { readonly ask: 'close-seat' }
  | { readonly ask: 'disable-seat' }
  | { readonly ask: 'ping' }
  | { readonly ask: 'open-device'; readonly path: string }
  | { readonly ask: 'close-device'; readonly device: number }
  | { readonly ask: 'switch-session'; readonly session: number };

/**
 * The messages to a client. `disable-seat` is missing on purpose: up to libseat 0.8 and from 0.9 on it is answered
 * differently.
 */
export type SeatdAnswer =
  | { readonly say: 'seat-opened'; readonly seat: string }
  | { readonly say: 'device-opened'; readonly device: number }
  | { readonly say: 'seat-closed' | 'device-closed' | 'enable-seat' | 'pong' | 'session-switched' }
  | { readonly say: 'error'; readonly errno: number };

/** A client that does not speak the protocol; nothing that follows can be understood. */
export class ProtocolError extends Error {
  override name = 'ProtocolError';
}

const plain = { 1: 'open-seat', 2: 'close-seat', 5: 'disable-seat', 7: 'ping' } as const;
const isPlain = (operation: number): operation is keyof typeof plain => Object.hasOwn(plain, operation);

/**
 * Cuts the bytes of a client into requests. An incomplete request waits for its rest, and is never longer than one
 * message.
 */
export class SeatdReader {
  private rest: Buffer = Buffer.alloc(0);

  /** Takes in more bytes. */
  push(bytes: Buffer): void {
    this.rest = this.rest.length === 0 ? bytes : Buffer.concat([this.rest, bytes]);
  }

  /**
   * The next request; undefined while there is none that is complete.
   * @throws ProtocolError
   */
  next(): SeatdRequest | undefined {
    if (this.rest.length < headerSize) return undefined;
    const operation = this.rest.readUInt16LE(0);
    const size = this.rest.readUInt16LE(2);
    if (headerSize + size > longestRequest) throw new ProtocolError(`a message of ${size} bytes is too long`);
    if (this.rest.length < headerSize + size) return undefined;
    const body = this.rest.subarray(headerSize, headerSize + size);
    this.rest = this.rest.subarray(headerSize + size);
    return requestOf(operation, body);
  }
}

function requestOf(operation: number, body: Buffer): SeatdRequest {
  if (isPlain(operation)) {
    expectSize(operation, body, 0);
    return { ask: plain[operation] };
  }
  switch (operation) {
    case 3:
      return { ask: 'open-device', path: pathOf(body) };
    case 4:
      expectSize(operation, body, 4);
      return { ask: 'close-device', device: body.readInt32LE(0) };
    case 6:
      expectSize(operation, body, 4);
      return { ask: 'switch-session', session: body.readInt32LE(0) };
    default:
      throw new ProtocolError(`there is no operation ${operation}`);
  }
}

function expectSize(operation: number, body: Buffer, size: number): void {
  if (body.length !== size)
    throw new ProtocolError(`operation ${operation} has ${body.length} bytes instead of ${size}`);
}

/** A length that counts the NUL, and as many bytes, of which the NUL is the last and the only one. */
function pathOf(body: Buffer): string {
  if (body.length < 3 || body.readUInt16LE(0) !== body.length - 2) throw new ProtocolError('a path of another length');
  const text = body.subarray(2);
  if (text.indexOf(0) !== text.length - 1) throw new ProtocolError('a path without an end');
  return text.subarray(0, -1).toString('latin1');
}

const operations = {
  'seat-opened': 0x8001,
  'seat-closed': 0x8002,
  'device-opened': 0x8003,
  'device-closed': 0x8004,
  'enable-seat': 0x8006,
  pong: 0x8007,
  'session-switched': 0x8008,
  error: 0xffff,
} as const satisfies Record<SeatdAnswer['say'], number>;

/** An answer as the client reads it; with `device-opened` goes one descriptor. */
export function encode(answer: SeatdAnswer): Buffer {
  const body = bodyOf(answer);
  const header = Buffer.alloc(headerSize);
  header.writeUInt16LE(operations[answer.say], 0);
  header.writeUInt16LE(body.length, 2);
  return Buffer.concat([header, body]);
}

function bodyOf(answer: SeatdAnswer): Buffer {
  switch (answer.say) {
    case 'seat-opened': {
      const name = Buffer.from(`${answer.seat}\0`);
      const length = Buffer.alloc(2);
      length.writeUInt16LE(name.length);
      return Buffer.concat([length, name]);
    }
    case 'device-opened':
      return int(answer.device);
    case 'error':
      return int(answer.errno);
    case 'seat-closed':
    case 'device-closed':
    case 'enable-seat':
    case 'pong':
    case 'session-switched':
      return Buffer.alloc(0);
  }
}

function int(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32LE(value);
  return bytes;
}
