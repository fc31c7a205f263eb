const multiplier = 0x5bd1e995;

/** MurmurHash2, 32 bits, seed 0, as libudev hashes subsystems and tags (systemd, src/basic/MurmurHash2.c). */
export function murmur2(text: string): number {
  const bytes = Buffer.from(text);
  let hash = bytes.length;
  let at = 0;
  for (; bytes.length - at >= 4; at += 4) {
    let word = Math.imul(bytes.readUInt32LE(at), multiplier);
    word ^= word >>> 24;
    hash = Math.imul(hash, multiplier) ^ Math.imul(word, multiplier);
  }
  const rest = bytes.length - at;
  if (rest > 0) {
    for (let index = rest - 1; index >= 0; index--) hash ^= (bytes[at + index] ?? 0) << (8 * index);
    hash = Math.imul(hash, multiplier);
  }
  hash ^= hash >>> 13;
  hash = Math.imul(hash, multiplier);
  return (hash ^ (hash >>> 15)) >>> 0;
}

/** Four bits of a 64-bit bloom filter for a tag (systemd, device-monitor.c, string_bloom64). */
export function bloom64(tag: string): bigint {
  const hash = murmur2(tag);
  return [0, 6, 12, 18].reduce((bits, shift) => bits | (1n << BigInt((hash >>> shift) & 63)), 0n);
}
