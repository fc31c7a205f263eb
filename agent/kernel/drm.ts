import type { CardConnector } from '../core/leases.js';
import { isSysError } from './errors.js';
import { address, syscall } from './libc.js';

/** Requests of include/uapi/drm/drm.h and drm_mode.h; sizes are part of the number, and the same on x86_64 and arm64. */
const request = {
  setMaster: 0x641e,
  getResources: 0xc04064a0,
  setCrtc: 0xc06864a2,
  getEncoder: 0xc01464a6,
  getConnector: 0xc05064a7,
  createLease: 0xc01864c6,
  listLessees: 0xc01064c7,
  getLease: 0xc01064c8,
  revokeLease: 0xc00464c9,
} as const;

/** Names of connectors by type, as sysfs has them (drm_connector.c, drm_connector_enum_list). */
const connectorTypes: readonly string[] = [
  ...['Unknown', 'VGA', 'DVI-I', 'DVI-D', 'DVI-A', 'Composite', 'SVIDEO', 'LVDS', 'Component', 'DIN', 'DP', 'HDMI-A'],
  ...['HDMI-B', 'TV', 'eDP', 'Virtual', 'DSI', 'DPI', 'Writeback', 'SPI', 'USB'],
];

/** Asks again where a signal came between (libdrm, drmIoctl). */
function ioctl(fd: number, what: string, code: number, argument: Buffer | number): void {
  for (;;) {
    try {
      syscall('ioctl', what, fd, code, argument);
      return;
    } catch (error) {
      if (!isSysError(error, 'EINTR', 'EAGAIN')) throw error;
    }
  }
}

/**
 * Makes the opener of this descriptor the master of its card. A master stays master.
 * @throws SysError, with `EBUSY` while somebody else is
 */
export const becomeMaster = (fd: number): void => ioctl(fd, 'DRM_IOCTL_SET_MASTER', request.setMaster, 0);

/**
 * All connectors of a card. Nothing is probed: that can take seconds, and only a program that shows a picture needs it.
 */
export function connectorsOfCard(fd: number): CardConnector[] {
  const { crtcs, connectors } = resourcesOf(fd);
  return connectors.map((id) => {
    const { name, encoders } = connector(fd, id);
    const mask = encoders.reduce((bits, encoder) => bits | possibleCrtcs(fd, encoder), 0);
    return { id, name, crtcs: crtcs.filter((_, index) => ((mask >>> index) & 1) === 1) };
  });
}

function resourcesOf(fd: number): { readonly crtcs: readonly number[]; readonly connectors: readonly number[] } {
  // struct drm_mode_card_res: pointers to ids of framebuffers, CRTCs, connectors, encoders; then their counts.
  for (;;) {
    const counting = Buffer.alloc(64);
    ioctl(fd, 'DRM_IOCTL_MODE_GETRESOURCES', request.getResources, counting);
    const [crtcs, connectors] = [idsOf(counting.readUInt32LE(36)), idsOf(counting.readUInt32LE(40))];
    const card = Buffer.alloc(64);
    card.writeBigUInt64LE(address(crtcs), 8);
    card.writeBigUInt64LE(address(connectors), 16);
    card.writeUInt32LE(crtcs.length / 4, 36);
    card.writeUInt32LE(connectors.length / 4, 40);
    ioctl(fd, 'DRM_IOCTL_MODE_GETRESOURCES', request.getResources, card);
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

function connector(fd: number, id: number): { readonly name: string; readonly encoders: readonly number[] } {
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
    ioctl(fd, 'DRM_IOCTL_MODE_GETCONNECTOR', request.getConnector, asked);
    const count = asked.readUInt32LE(40);
    if (count > room) continue;
    const type = connectorTypes[asked.readUInt32LE(52)] ?? 'Unknown';
    return { name: `${type}-${asked.readUInt32LE(56)}`, encoders: read(encoders, count) };
  }
}

/** Bits by the place of the CRTC among the card's. */
function possibleCrtcs(fd: number, encoder: number): number {
  const asked = Buffer.alloc(20); // struct drm_mode_get_encoder
  asked.writeUInt32LE(encoder, 0);
  ioctl(fd, 'DRM_IOCTL_MODE_GETENCODER', request.getEncoder, asked);
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
export function createLease(fd: number, objects: readonly number[]): CreatedLease {
  const ids = idsOf(Math.max(1, objects.length));
  for (const [index, id] of objects.entries()) ids.writeUInt32LE(id, 4 * index);
  const asked = Buffer.alloc(24); // struct drm_mode_create_lease
  asked.writeBigUInt64LE(address(ids), 0);
  asked.writeUInt32LE(objects.length, 8);
  asked.writeUInt32LE(0o2000000, 12); // O_CLOEXEC
  ioctl(fd, 'DRM_IOCTL_MODE_CREATE_LEASE', request.createLease, asked);
  return { lessee: asked.readUInt32LE(16), fd: asked.readUInt32LE(20) };
}

/** Takes a lease back, from now on: its descriptor stays open and can do nothing. */
export function revokeLease(fd: number, lessee: number): void {
  const asked = Buffer.alloc(4);
  asked.writeUInt32LE(lessee, 0);
  ioctl(fd, 'DRM_IOCTL_MODE_REVOKE_LEASE', request.revokeLease, asked);
}

/** Object ids that a leased descriptor really has. */
export const leasedObjects = (fd: number): number[] => list(fd, 'DRM_IOCTL_MODE_GET_LEASE', request.getLease);

/** Lessees of a card that have anything yet. */
export const lessees = (fd: number): number[] => list(fd, 'DRM_IOCTL_MODE_LIST_LESSEES', request.listLessees);

/** A count, padding, and a pointer to as many ids. */
function list(fd: number, what: string, code: number): number[] {
  for (let room = 64; ; room *= 2) {
    const ids = idsOf(room);
    const asked = Buffer.alloc(16);
    asked.writeUInt32LE(room, 0);
    asked.writeBigUInt64LE(address(ids), 8);
    ioctl(fd, what, code, asked);
    const count = asked.readUInt32LE(0);
    if (count <= room) return read(ids, count);
  }
}

/** Has a CRTC show nothing: its last picture is gone, and the next user does not see it. */
export function switchOff(fd: number, crtc: number): void {
  const asked = Buffer.alloc(104); // struct drm_mode_crtc: no connectors, no framebuffer, no mode
  asked.writeUInt32LE(crtc, 12);
  ioctl(fd, 'DRM_IOCTL_MODE_SETCRTC', request.setCrtc, asked);
}
