import type { Properties } from '../core/step.js';
import { bloom64, murmur2 } from './murmur.js';

const headerSize = 40;
/** libudev 247 and eudev read into a buffer of this size, bytes (sd_device_monitor_receive_device). */
const largest = 8192;

export type Action = 'add' | 'change' | 'remove';

/**
 * A message as udevd sends it to libudev's listeners (struct monitor_netlink_header, systemd's device-monitor.c):
 * header, then `KEY=VALUE` strings, each ended by a NUL. There is no empty string at the end: libudev refuses it.
 * `properties` must have DEVPATH, SUBSYSTEM and SEQNUM.
 * @throws Error when a text could be taken for two, or the message would be too long for older listeners.
 */
export function encode(action: Action, properties: Properties, tags: readonly string[]): Buffer {
  const all: Record<string, string> = { UDEV_DATABASE_VERSION: '1', ...properties, ACTION: action };
  if (tags.length > 0) {
    all['TAGS'] = `:${tags.join(':')}:`;
    all['CURRENT_TAGS'] = all['TAGS'];
  }
  const lines = Object.entries(all).map(([key, value]) => {
    const line = `${key}=${value}`;
    if (/\p{Cc}/u.test(line) || key === '' || key.includes('='))
      throw new Error(`not a udev property: ${JSON.stringify(line)}`);
    return `${line}\0`;
  });
  const body = Buffer.from(lines.join(''));
  if (headerSize + body.length > largest) throw new Error(`a udev message of ${body.length} bytes reaches nobody`);
  const bloom = tags.reduce((bits, tag) => bits | bloom64(tag), 0n);
  const header = Buffer.alloc(headerSize);
  header.write('libudev\0', 0, 'latin1');
  header.writeUInt32BE(0xfeedcafe, 8);
  header.writeUInt32LE(headerSize, 12);
  header.writeUInt32LE(headerSize, 16);
  header.writeUInt32LE(body.length, 20);
  header.writeUInt32BE(murmur2(all['SUBSYSTEM'] ?? ''), 24);
  header.writeUInt32BE(all['DEVTYPE'] === undefined ? 0 : murmur2(all['DEVTYPE']), 28);
  header.writeUInt32BE(Number(bloom >> 32n), 32);
  header.writeUInt32BE(Number(bloom & 0xffffffffn), 36);
  return Buffer.concat([header, body]);
}

/** Reads a message as a listener does: for tests and for people who look at traffic. */
export function decode(datagram: Buffer): {
  readonly properties: Properties;
  readonly subsystemHash: number;
  readonly devtypeHash: number;
  readonly bloom: bigint;
} {
  if (datagram.toString('latin1', 0, 8) !== 'libudev\0' || datagram.readUInt32BE(8) !== 0xfeedcafe) {
    throw new Error('not a message of udevd');
  }
  const start = datagram.readUInt32LE(16);
  const body = datagram.subarray(start, start + datagram.readUInt32LE(20)).toString();
  if (!body.endsWith('\0')) throw new Error('a udev message that ends within a property');
  const entries = body
    .slice(0, -1)
    .split('\0')
    .map((line): [string, string] => {
      const at = line.indexOf('=');
      // libudev refuses the whole message then, an empty string at the end included.
      if (at < 1) throw new Error(`not a udev property: ${JSON.stringify(line)}`);
      return [line.slice(0, at), line.slice(at + 1)];
    });
  return {
    properties: Object.fromEntries(entries),
    subsystemHash: datagram.readUInt32BE(24),
    devtypeHash: datagram.readUInt32BE(28),
    bloom: datagram.readBigUInt64BE(32),
  };
}
