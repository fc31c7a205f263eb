import { posix } from 'node:path';
import type { ContainerRef } from '../core/policy.js';
import { commonSlice, seatSlice } from '../engines/dialect.js';
import type { Container } from '../engines/engine.js';

/**
 * The slice of a seat, below the common one: systemd puts `hotseat-left.slice` there by its name alone (systemd.slice(5)), in
 * which a dash of the seat's own name has to be escaped (systemd.unit(5)).
 */
export const sliceOf = (seat: string): string => `hotseat-${seat.replaceAll('-', '\\x2d')}.slice`;

/**
 * Where and how the shares of a container are set. `group` is the group that has them, a path below the root of the
 * hierarchy without a slash before it.
 *
 * `unit`: by systemd, which would undo anything else that is written there (daemon-reload). `own`: our own slice, which
 * need not be active yet. `group`: by its files; nobody else writes them. `incus`: by the keys of the instance.
 */
export type SharePlace =
  | { readonly kind: 'unit'; readonly group: string; readonly unit: string; readonly own: boolean }
  | { readonly kind: 'group'; readonly group: string }
  | { readonly kind: 'incus'; readonly group: string; readonly project: string; readonly instance: string };

/** One word for a place, for tables. */
export const placeKey = (place: SharePlace): string => {
  switch (place.kind) {
    case 'unit':
      return `unit ${place.unit}`;
    case 'group':
      return `group ${place.group}`;
    case 'incus':
      return `incus ${place.project} ${place.instance}`;
  }
};

/** How an amount gets there, for people. */
export const meansOf = (place: SharePlace): string => {
  switch (place.kind) {
    case 'unit':
      return `systemd's properties of ${place.unit}`;
    case 'group':
      return `the files of ${place.group}`;
    case 'incus':
      return `the keys of the Incus instance ${place.instance}`;
  }
};

/**
 * Where a container's shares belong. `root`: the mount point of the cgroup2 hierarchy. Every group on the way to a container
 * is root's, or below a user's systemd that user's (provenance.ts): his containers are divided at his slice, which is root's.
 */
export function sharePlace(
  container: Pick<Container, 'engine' | 'name' | 'user' | 'cgroup'>,
  root: string,
): SharePlace {
  const group = posix.relative(root, container.cgroup);
  const names = group.split('/');
  const unitAt = (at: number, own = false): SharePlace => ({
    ...{ kind: 'unit', own, group: names.slice(0, at + 1).join('/') },
    // A name that the hierarchy has a use for itself gets an underscore (cg_escape in systemd's cgroup-util.c).
    unit: (names[at] ?? '').replace(/^_/, ''),
  });
  if (container.user !== undefined) {
    const at = names.findIndex((name) => /^user-\d+\.slice$/.test(name));
    if (at >= 0) return unitAt(at);
  }
  if (seatSlice.every((pattern, at) => pattern.test(names[at] ?? ''))) return unitAt(1, true);
  if (container.engine === 'incus') return { kind: 'incus', group, ...instanceOf(container.name) };
  const at = names.findLastIndex((name) => /\.(service|scope)$/.test(name));
  return at >= 0 ? unitAt(at) : { kind: 'group', group };
}

/** `project_name`, and `name` in the default project: an instance's own name has no underscore (project.InstanceParts). */
function instanceOf(name: string): { project: string; instance: string } {
  const at = name.lastIndexOf('_');
  return at < 0 ? { project: 'default', instance: name } : { project: name.slice(0, at), instance: name.slice(at + 1) };
}

/** The groups above the group with the shares, topmost first; the root is empty. Their controllers have to be on. */
export const above = (group: string): string[] => {
  const names = group.split('/');
  return names.map((_, depth) => names.slice(0, depth).join('/'));
};

/** The group among whose children a place's weights count. */
export const arenaOf = ({ group }: SharePlace): string => {
  const parent = posix.dirname(group);
  return parent === '.' ? 'the root' : parent;
};

/** How an engine is told to start a seat's container below the common slice; undefined where it cannot be told. */
export function intoSlice(seat: string, { engine, name, user }: ContainerRef): string | undefined {
  if (user !== undefined) return undefined;
  const slice = sliceOf(seat);
  switch (engine) {
    case 'lxc':
      return `lxc.cgroup.dir.container = ${commonSlice}/${slice}/lxc.payload.${name} and lxc.cgroup.dir.monitor = lxc.monitor.${name} in its configuration`;
    case 'incus':
      return undefined;
    case 'podman':
    case 'docker':
      return `--cgroup-parent=${slice}`;
    case 'nspawn':
      return `Slice=${slice} below [Service] by systemctl edit systemd-nspawn@${name}`;
  }
}
