// Pictures of screens: read pixel by pixel, put beside each other, and written as PNG.

import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { crc32, deflateSync } from 'node:zlib';
import type { Lab } from './lab.js';
import { gpu, type Place } from './machine.js';

/** Three bytes a pixel: red, green, blue. */
export interface Picture {
  readonly width: number;
  readonly height: number;
  readonly pixels: Buffer;
}

/** The picture on an output of a card: on the first or second one of the card at that place. */
export async function shownAt(lab: Lab, place: Place, output: 0 | 1 = 0): Promise<Picture> {
  const filename = join(lab.machine.dir, `shown-${place}-${output}.ppm`);
  await lab.machine.qmp.run('screendump', { filename, device: gpu[place].id, head: output, format: 'ppm' });
  const file = await readFile(filename);
  const [, width = 0, height = 0] = (/^P6\s(\d+) (\d+)\s255\s/.exec(file.toString('latin1', 0, 32)) ?? []).map(Number);
  return { width, height, pixels: file.subarray(file.length - 3 * width * height) };
}

/** The colour of a pixel, as six hexadecimal digits. */
export const colourAt = ({ width, pixels }: Picture, x: number, y: number): string =>
  pixels.subarray(3 * (y * width + x), 3 * (y * width + x) + 3).toString('hex');

/** How many pixels have this colour. */
export function count({ width, height, pixels }: Picture, colour: string): number {
  const wanted = Number.parseInt(colour, 16);
  let found = 0;
  for (let at = 0; at < 3 * width * height; at += 3) if (pixels.readUIntBE(at, 3) === wanted) found++;
  return found;
}

/** Two pictures of one height beside each other, with a white gap. */
export function beside(left: Picture, right: Picture, gap = 16): Picture {
  const width = left.width + gap + right.width;
  const height = Math.min(left.height, right.height);
  const row = ({ width: wide, pixels }: Picture, y: number) => pixels.subarray(3 * y * wide, 3 * (y + 1) * wide);
  const between = Buffer.alloc(3 * gap, 0xff);
  const rows = Array.from({ length: height }, (_, y) => [row(left, y), between, row(right, y)]);
  return { width, height, pixels: Buffer.concat(rows.flat()) };
}

/** A file in PNG (ISO/IEC 15948), without interlace and without filters. */
export function png({ width, height, pixels }: Picture): Buffer {
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header.set([8, 2, 0, 0, 0], 8); // eight bits, three colours
  const unfiltered = Buffer.of(0);
  const rows = Array.from({ length: height }, (_, y) => [
    unfiltered,
    pixels.subarray(3 * y * width, 3 * (y + 1) * width),
  ]);
  return Buffer.concat([
    Buffer.from('\x89PNG\r\n\x1a\n', 'latin1'),
    chunk('IHDR', header),
    chunk('IDAT', deflateSync(Buffer.concat(rows.flat()), { level: 9 })),
    chunk('IEND', Buffer.alloc(0)),
  ]);
}

function chunk(type: string, data: Buffer): Buffer {
  const body = Buffer.concat([Buffer.from(type), data]);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(data.length);
  const sum = Buffer.alloc(4);
  sum.writeUInt32BE(crc32(body));
  return Buffer.concat([length, body, sum]);
}
