import type { CardConnector } from '../core/leases.js';
import { isSysError } from './errors.js';
import { address, copyTo, syscall, syscallLater } from './libc.js';

/** Requests of include/uapi/drm/drm.h and drm_mode.h; sizes are part of the number, and the same on x86_64 and arm64. */
const request = {
  setMaster: 0x641e,
  getResources: 0xc04064a0,
  addFb: 0xc01c64ae,
  removeFb: 0xc00464af,
  createDumb: 0xc02064b2,
  mapDumb: 0xc01064b3,
  destroyDumb: 0xc00464b4,
  setCrtc: 0xc06864a2,
  cursor: 0xc01c64a3,
  getEncoder: 0xc01464a6,
  getConnector: 0xc05064a7,
  createLease: 0xc01864c6,
  getLease: 0xc01064c8,
  revokeLease: 0xc00464c9,
} as const;

/** Names of connectors by type, as sysfs has them (drm_connector.c, drm_connector_enum_list). */
const connectorTypes: readonly string[] = [
  ...['Unknown', 'VGA', 'DVI-I', 'DVI-D', 'DVI-A', 'Composite', 'SVIDEO', 'LVDS', 'Component', 'DIN', 'DP', 'HDMI-A'],
  ...['HDMI-B', 'TV', 'eDP', 'Virtual', 'DSI', 'DPI', 'Writeback', 'SPI', 'USB'],
];

/** Buffers of requests that have not ended: the kernel still reads and writes there. */
const inUse = new Set<readonly Buffer[]>();

/**
 * A request, on a thread of Node's pool: any program that has the card open can make the kernel wait. GETCONNECTOR, for one, writes
 * into the caller's memory under the lock that nearly all requests take (drm_mode_getconnector, mode_config.mutex), and that memory may
 * lie in a file of a FUSE mount. `pointedTo`: where the pointers in `argument` lead. Asks again where a signal came between (libdrm,
 * drmIoctl).
 */
async function ioctl(fd: number, what: string, code: number, argument: Buffer, ...pointedTo: Buffer[]): Promise<void> {
  const buffers = [argument, ...pointedTo];
  inUse.add(buffers);
  try {
    for (;;) {
      try {
        await syscallLater('ioctl', what, fd, code, address(argument));
        return;
      } catch (error) {
        if (!isSysError(error, 'EINTR', 'EAGAIN')) throw error;
      }
    }
  } finally {
    inUse.delete(buffers);
  }
}

/**
 * Makes the opener of this descriptor the master of its card. A master stays master.
 * @throws SysError, with `EBUSY` while somebody else is
 */
export const becomeMaster = (fd: number): Promise<void> =>
  ioctl(fd, 'DRM_IOCTL_SET_MASTER', request.setMaster, Buffer.alloc(0));

/**
 * All connectors of a card. Nothing is probed: that can take seconds, and only a program that shows a picture needs it.
 */
export async function connectorsOfCard(fd: number): Promise<CardConnector[]> {
  const { crtcs, connectors } = await resourcesOf(fd);
  const all: CardConnector[] = [];
  for (const id of connectors) {
    const { name, encoders } = await connector(fd, id);
    let mask = 0;
    for (const encoder of encoders) mask |= await possibleCrtcs(fd, encoder);
    all.push({ id, name, crtcs: crtcs.filter((_, index) => ((mask >>> index) & 1) === 1) });
  }
  return all;
}

async function resourcesOf(fd: number): Promise<Record<'crtcs' | 'connectors', readonly number[]>> {
  // struct drm_mode_card_res: pointers to ids of framebuffers, CRTCs, connectors, encoders; then their counts.
  for (;;) {
    const counting = Buffer.alloc(64);
    await ioctl(fd, 'DRM_IOCTL_MODE_GETRESOURCES', request.getResources, counting);
    const [crtcs, connectors] = [idsOf(counting.readUInt32LE(36)), idsOf(counting.readUInt32LE(40))];
    const card = Buffer.alloc(64);
    card.writeBigUInt64LE(address(crtcs), 8);
    card.writeBigUInt64LE(address(connectors), 16);
    card.writeUInt32LE(crtcs.length / 4, 36);
    card.writeUInt32LE(connectors.length / 4, 40);
    await ioctl(fd, 'DRM_IOCTL_MODE_GETRESOURCES', request.getResources, card, crtcs, connectors);
    const [crtcCount, connectorCount] = [card.readUInt32LE(36), card.readUInt32LE(40)];
    // More came between the two questions: nothing was filled in then.
    if (crtcCount > crtcs.length / 4 || connectorCount > connectors.length / 4) continue;
    return { crtcs: read(crtcs, crtcCount), connectors: read(connectors, connectorCount) };
  }
}

const idsOf = (count: number): Buffer => Buffer.alloc(4 * count);

const read = (ids: Buffer, count: number): number[] =>
  Array.from({ length: count }, (_, index) => ids.readUInt32LE(4 * index));

/** Size of struct drm_mode_modeinfo. */
const modeSize = 68;

async function connector(
  fd: number,
  id: number,
): Promise<{ readonly name: string; readonly encoders: readonly number[] }> {
  // struct drm_mode_get_connector: pointers to encoders, modes, properties and their values; then counts of modes,
  // properties and encoders, the encoder, the connector, its type and its number of that type.
  for (let room = 8; ; room *= 2) {
    const encoders = idsOf(room);
    const mode = Buffer.alloc(modeSize);
    const asked = Buffer.alloc(80);
    asked.writeBigUInt64LE(address(encoders), 0);
    asked.writeBigUInt64LE(address(mode), 8);
    // Room for one mode: with none at all the kernel would probe the connector (drm_mode_getconnector).
    asked.writeUInt32LE(1, 32);
    asked.writeUInt32LE(room, 40);
    asked.writeUInt32LE(id, 48);
    await ioctl(fd, 'DRM_IOCTL_MODE_GETCONNECTOR', request.getConnector, asked, encoders, mode);
    const count = asked.readUInt32LE(40);
    if (count > room) continue;
    const type = connectorTypes[asked.readUInt32LE(52)] ?? 'Unknown';
    return { name: `${type}-${asked.readUInt32LE(56)}`, encoders: read(encoders, count) };
  }
}

/** Bits by the place of the CRTC among the card's. */
async function possibleCrtcs(fd: number, encoder: number): Promise<number> {
  const asked = Buffer.alloc(20); // struct drm_mode_get_encoder
  asked.writeUInt32LE(encoder, 0);
  await ioctl(fd, 'DRM_IOCTL_MODE_GETENCODER', request.getEncoder, asked);
  return asked.readUInt32LE(12);
}

/** A lease: `fd` is the lessee's, and the caller's to close. */
export interface CreatedLease {
  readonly lessee: number;
  readonly fd: number;
}

/**
 * Leases CRTCs and connectors. Without universal planes, the planes of each CRTC go with it, primary and cursor
 * (drm_lease.c, fill_object_idr). A lease of nothing can still make buffers.
 * @throws SysError: `EBUSY` where one of them is leased, `ENOENT` where there is no such object, `EOPNOTSUPP` for a
 * card without modesetting
 */
export async function createLease(fd: number, objects: readonly number[]): Promise<CreatedLease> {
  const ids = idsOf(Math.max(1, objects.length));
  for (const [index, id] of objects.entries()) ids.writeUInt32LE(id, 4 * index);
  const asked = Buffer.alloc(24); // struct drm_mode_create_lease
  asked.writeBigUInt64LE(address(ids), 0);
  asked.writeUInt32LE(objects.length, 8);
  asked.writeUInt32LE(0o2000000, 12); // O_CLOEXEC
  await ioctl(fd, 'DRM_IOCTL_MODE_CREATE_LEASE', request.createLease, asked, ids);
  return { lessee: asked.readUInt32LE(16), fd: asked.readUInt32LE(20) };
}

/** Takes a lease back, from now on: its descriptor stays open and can do nothing. */
export async function revokeLease(fd: number, lessee: number): Promise<void> {
  const asked = Buffer.alloc(4);
  asked.writeUInt32LE(lessee, 0);
  await ioctl(fd, 'DRM_IOCTL_MODE_REVOKE_LEASE', request.revokeLease, asked);
}

/** Object ids that a leased descriptor really has: a count, padding, and a pointer to as many ids. */
export async function leasedObjects(fd: number): Promise<number[]> {
  for (let room = 64; ; room *= 2) {
    const ids = idsOf(room);
    const asked = Buffer.alloc(16);
    asked.writeUInt32LE(room, 0);
    asked.writeBigUInt64LE(address(ids), 8);
    await ioctl(fd, 'DRM_IOCTL_MODE_GET_LEASE', request.getLease, asked, ids);
    const count = asked.readUInt32LE(0);
    if (count <= room) return read(ids, count);
  }
}

/**
 * Has a CRTC show nothing: its last picture is gone, and the next user does not see it. The same is done for its cursor, which stays
 * on its plane otherwise, with a picture of its own (drm_plane.c, drm_mode_cursor_universal).
 */
export async function switchOff(fd: number, crtc: number): Promise<void> {
  const asked = Buffer.alloc(104); // struct drm_mode_crtc: no connectors, no framebuffer, no mode
  asked.writeUInt32LE(crtc, 12);
  await ioctl(fd, 'DRM_IOCTL_MODE_SETCRTC', request.setCrtc, asked);
  const cursor = Buffer.alloc(28); // struct drm_mode_cursor: DRM_MODE_CURSOR_BO, and no buffer
  cursor.writeUInt32LE(1, 0);
  cursor.writeUInt32LE(crtc, 4);
  try {
    await ioctl(fd, 'DRM_IOCTL_MODE_CURSOR', request.cursor, cursor);
  } catch (error) {
    if (!isSysError(error, 'ENXIO')) throw error; // it has no cursor
  }
}

/** A mode of a monitor, as the kernel has it (struct drm_mode_modeinfo). */
export interface Mode {
  readonly width: number;
  readonly height: number;
  readonly bytes: Buffer;
}

/** DRM_MODE_TYPE_PREFERRED: the one that the monitor likes best. */
const preferred = 1 << 3;

/**
 * The mode that the monitor at a connector likes best; undefined where there is no monitor. The kernel asks the monitor,
 * which can take seconds.
 */
export async function monitorMode(fd: number, connectorId: number): Promise<Mode | undefined> {
  const asked = Buffer.alloc(80);
  asked.writeUInt32LE(connectorId, 48);
  // Without room for any mode: that is when the kernel asks (drm_mode_getconnector).
  await ioctl(fd, 'DRM_IOCTL_MODE_GETCONNECTOR', request.getConnector, asked);
  const isConnected = asked.readUInt32LE(60) === 1;
  const modes = Buffer.alloc(asked.readUInt32LE(32) * modeSize);
  if (!isConnected || modes.length === 0) return undefined;
  const filled = Buffer.alloc(80);
  filled.writeBigUInt64LE(address(modes), 8);
  filled.writeUInt32LE(modes.length / modeSize, 32);
  filled.writeUInt32LE(connectorId, 48);
  await ioctl(fd, 'DRM_IOCTL_MODE_GETCONNECTOR', request.getConnector, filled, modes);
  // More than before, and none was filled in: another monitor has come this instant.
  if (filled.readUInt32LE(32) > modes.length / modeSize) return undefined;
  const all = Array.from({ length: filled.readUInt32LE(32) }, (_, at) =>
    modes.subarray(at * modeSize, (at + 1) * modeSize),
  );
  const bytes = all.find((mode) => (mode.readUInt32LE(32) & preferred) !== 0) ?? all[0];
  return bytes && { width: bytes.readUInt16LE(4), height: bytes.readUInt16LE(14), bytes };
}

/** A picture of ours that a CRTC can show: a framebuffer and its buffer. */
export interface Picture {
  readonly framebuffer: number;
  readonly handle: number;
}

/** Equal rows of a picture: from `top` on so many, white from each first column to before each last one. */
interface WhiteRows {
  readonly top: number;
  readonly rows: number;
  readonly lit: readonly (readonly [number, number])[];
}

/** Bytes of a pixel: XRGB8888. */
const pixel = 4;

/** Makes a picture in memory that is mapped for it alone (drm-kms, dumb buffer objects). Nobody sees it yet. */
export async function drawPicture(
  fd: number,
  width: number,
  height: number,
  bands: readonly WhiteRows[],
): Promise<Picture> {
  const dumb = Buffer.alloc(32); // struct drm_mode_create_dumb; the kernel has cleared the buffer
  dumb.writeUInt32LE(height, 0);
  dumb.writeUInt32LE(width, 4);
  dumb.writeUInt32LE(8 * pixel, 8);
  await ioctl(fd, 'DRM_IOCTL_MODE_CREATE_DUMB', request.createDumb, dumb);
  const [handle, pitch, size] = [dumb.readUInt32LE(16), dumb.readUInt32LE(20), Number(dumb.readBigUInt64LE(24))];
  try {
    const mapping = Buffer.alloc(16); // struct drm_mode_map_dumb
    mapping.writeUInt32LE(handle, 0);
    await ioctl(fd, 'DRM_IOCTL_MODE_MAP_DUMB', request.mapDumb, mapping);
    const [readWrite, shared] = [0x3, 0x1];
    const start = syscall('mmap', 'a picture', 0, size, readWrite, shared, fd, mapping.readBigUInt64LE(8));
    try {
      for (const { top, rows, lit } of bands) {
        const row = Buffer.alloc(width * pixel);
        for (const [from, to] of lit) row.fill(0xff, from * pixel, to * pixel);
        for (let at = top; at < top + rows; at++) if (at >= 0 && at < height) copyTo(start + at * pitch, row);
      }
    } finally {
      syscall('munmap', 'a picture', start, size);
    }
    const adding = Buffer.alloc(28); // struct drm_mode_fb_cmd: 32 bits a pixel, 24 of them count
    for (const [at, value] of [0, width, height, pitch, 32, 24, handle].entries()) adding.writeUInt32LE(value, 4 * at);
    await ioctl(fd, 'DRM_IOCTL_MODE_ADDFB', request.addFb, adding);
    return { framebuffer: adding.readUInt32LE(0), handle };
  } catch (error) {
    await destroyDumb(fd, handle);
    throw error;
  }
}

/** Has a CRTC show a picture at a connector. */
export async function showPicture(
  fd: number,
  crtc: number,
  connectorId: number,
  mode: Mode,
  picture: Picture,
): Promise<void> {
  const connectors = idsOf(1);
  connectors.writeUInt32LE(connectorId, 0);
  const asked = Buffer.alloc(104); // struct drm_mode_crtc
  asked.writeBigUInt64LE(address(connectors), 0);
  asked.writeUInt32LE(1, 8);
  asked.writeUInt32LE(crtc, 12);
  asked.writeUInt32LE(picture.framebuffer, 16);
  asked.writeUInt32LE(1, 32);
  mode.bytes.copy(asked, 36);
  await ioctl(fd, 'DRM_IOCTL_MODE_SETCRTC', request.setCrtc, asked, connectors);
}

/** Gives a picture back to the kernel; a CRTC that shows it is switched off. */
export async function forgetPicture(fd: number, { framebuffer, handle }: Picture): Promise<void> {
  const id = idsOf(1);
  id.writeUInt32LE(framebuffer, 0);
  await ioctl(fd, 'DRM_IOCTL_MODE_RMFB', request.removeFb, id);
  await destroyDumb(fd, handle);
}

async function destroyDumb(fd: number, handle: number): Promise<void> {
  const asked = idsOf(1);
  asked.writeUInt32LE(handle, 0);
  await ioctl(fd, 'DRM_IOCTL_MODE_DESTROY_DUMB', request.destroyDumb, asked);
}
