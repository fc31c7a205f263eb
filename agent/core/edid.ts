/** The beginning of every EDID (VESA E-EDID 1.4, 3.3). */
const header = Buffer.from([0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x00]);

/** Bytes of the base block; extensions follow, which do not name the monitor. */
const blockLength = 128;

/** The four descriptors of 18 bytes each (3.10); those that describe no mode begin with two zeros. */
const descriptors = [54, 72, 90, 108] as const;
const nameTag = 0xfc;
const serialTag = 0xff;

/**
 * The name that a monitor gives itself, from its EDID: its name, or its maker's three letters and the product code,
 * `DEL A0C1`, and behind either the serial number on its back where it tells it. Undefined for bytes that are no EDID.
 * The text is the monitor's own: nothing but printable ASCII passes.
 */
export function monitorName(edid: Buffer): string | undefined {
  if (edid.length < blockLength || !edid.subarray(0, header.length).equals(header)) return undefined;
  const name = textOf(edid, nameTag) ?? `${makerOf(edid)} ${hex(edid.readUInt16LE(10))}`;
  const serial = textOf(edid, serialTag);
  return serial === undefined ? name : `${name} ${serial}`;
}

/** The text of the first descriptor with a tag: up to 13 characters, a newline ends it (3.10.3). */
function textOf(edid: Buffer, tag: number): string | undefined {
  for (const at of descriptors) {
    if (edid.readUIntBE(at, 3) !== 0 || edid[at + 3] !== tag) continue;
    const [line = ''] = edid
      .subarray(at + 5, at + 18)
      .toString('latin1')
      .split('\n');
    const text = line.replace(/[^\x20-\x7e]/g, '').trim();
    if (text !== '') return text;
  }
  return undefined;
}

/** Three letters of five bits each, 1 for A (3.4.1). */
function makerOf(edid: Buffer): string {
  const packed = edid.readUInt16BE(8);
  return [10, 5, 0].map((shift) => String.fromCharCode(64 + ((packed >> shift) & 31))).join('');
}

const hex = (code: number): string => code.toString(16).toUpperCase().padStart(4, '0');
