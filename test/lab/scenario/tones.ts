// Tones by which sound cards can be told apart: each container plays its own, and QEMU writes down what each card is sent.

import { recordedRate as rate } from '../driver/machine.js';

const headerBytes = 44;

/** A WAV file with one tone, on one channel. */
export function tone(hertz: number, seconds: number): Buffer {
  const samples = rate * seconds;
  const file = Buffer.alloc(headerBytes + 2 * samples);
  file.write('RIFF', 0);
  file.writeUInt32LE(file.length - 8, 4);
  file.write('WAVEfmt ', 8);
  file.writeUInt32LE(16, 16);
  file.writeUInt16LE(1, 20); // PCM
  file.writeUInt16LE(1, 22); // one channel
  file.writeUInt32LE(rate, 24);
  file.writeUInt32LE(2 * rate, 28);
  file.writeUInt16LE(2, 32);
  file.writeUInt16LE(16, 34);
  file.write('data', 36);
  file.writeUInt32LE(2 * samples, 40);
  for (let at = 0; at < samples; at++)
    file.writeInt16LE(Math.round(8000 * Math.sin((2 * Math.PI * hertz * at) / rate)), headerBytes + 2 * at);
  return file;
}

/**
 * How strong a tone is in a recording of two channels, as an amplitude: by Goertzel's algorithm, in pieces of a tenth of a
 * second, because an emulated card has gaps. Silence counts for nothing.
 */
export function strength(recording: Buffer, hertz: number): number {
  const piece = rate / 10;
  const factor = 2 * Math.cos((2 * Math.PI * hertz) / rate);
  const found: number[] = [];
  for (let from = headerBytes; from + 4 * piece <= recording.length; from += 4 * piece) {
    let last = 0;
    let before = 0;
    let isSilent = true;
    for (let at = 0; at < piece; at++) {
      const sample = recording.readInt16LE(from + 4 * at);
      if (sample !== 0) isSilent = false;
      [last, before] = [sample + factor * last - before, last];
    }
    const power = last * last + before * before - factor * last * before;
    if (!isSilent) found.push((2 * Math.sqrt(Math.max(0, power))) / piece);
  }
  return found.length === 0 ? 0 : found.reduce((sum, one) => sum + one, 0) / found.length;
}
