import { type Owner, ownerText } from './changes.js';
import type { SeatPolicy } from './policy.js';

/**
 * Names in `/dev` of nodes beside those in `/dev/dri` by which programs compute on a graphics card: NVIDIA's, which a program makes and
 * udev never hears of (nvidia-modprobe(1)), and AMD's (drivers/gpu/drm/amd/amdkfd/kfd_chardev.c). None of them is one card's output
 * or one seat's: they are shared, and nobody can take back an open file of them.
 */
export const plainNames: readonly RegExp[] = [/^nvidia\d{1,3}$/, /^nvidia(?:ctl|-modeset|-uvm|-uvm-tools)$/, /^kfd$/];

export const isPlainName = (text: string): boolean => plainNames.some((name) => name.test(text));

/** Whether a driver calls itself as these do: `nvidia`, `nvidia-frontend`, `nvidia-uvm`, `kfd`. */
export const isPlainDriver = (text: string): boolean => /^(?:nvidia|kfd)/.test(text);

/** The identity of such a node, in the place of a path in sysfs. */
export const plainId = (name: string): string => `/dev/${name}`;

export const isPlainId = (id: string): boolean => id.startsWith('/dev/');

/** A node that changes hands, as `hotseat plan` says it. */
export interface PlainChange {
  readonly device: string;
  readonly name: string;
  readonly from: string;
  readonly to: string;
}

/** The nodes that other seat files would give to other seats. Pure. */
export function plainChanges(before: readonly SeatPolicy[], after: readonly SeatPolicy[]): PlainChange[] {
  const names = new Set([...before, ...after].flatMap(({ nodes = [] }) => nodes.map(({ name }) => name)));
  return [...names].sort().flatMap((name) => {
    const [from, to] = [before, after].map((seats) => ownerText(plainOwner(seats, name))) as [string, string];
    return from === to ? [] : [{ device: plainId(name), name, from, to }];
  });
}

function plainOwner(seats: readonly SeatPolicy[], name: string): Owner {
  const owners = seats.flatMap(({ seat, nodes = [] }) => (nodes.some((node) => node.name === name) ? [seat] : []));
  return owners.length === 0 ? 'host' : owners;
}
