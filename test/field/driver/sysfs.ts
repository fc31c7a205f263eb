// A sysfs, a /run and a /dev of the test's own, in a private mount namespace, that the real udevadm works on.

import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { basename, dirname, join, relative } from 'node:path';

/** A device as the kernel would show it; `path` is below /sys. */
export interface Entry {
  readonly subsystem?: string;
  readonly driver?: string;
  /** Lines of its `uevent` file beside those of its node. */
  readonly uevent?: Readonly<Record<string, string>>;
  readonly attributes?: Readonly<Record<string, string>>;
  /** `13:71`, and its name below /dev. */
  readonly node?: { readonly number: string; readonly name: string };
}

/** Subsystems that are classes in sysfs; all others are buses. */
const classes: ReadonlySet<string> = new Set(['input', 'sound', 'drm', 'hidraw', 'bluetooth', 'misc']);

/** Mounts the empty file systems; what udevadm itself opens in /dev is there. */
export function emptyMachine(): void {
  for (const target of ['/sys', '/run', '/dev'])
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'mode=755', 'tmpfs', target]);
  for (const [name, minor] of [
    ['null', 3],
    ['zero', 5],
    ['random', 8],
    ['urandom', 9],
    ['kmsg', 11],
  ] as const)
    mknod(`/dev/${name}`, `1:${minor}`);
  for (const path of ['/sys/devices', '/run/udev/data', '/run/udev/rules.d', '/run/systemd'])
    mkdirSync(path, { recursive: true });
}

function mknod(path: string, number: string): void {
  mkdirSync(dirname(path), { recursive: true });
  execFileSync('mknod', ['-m', '666', path, 'c', ...number.split(':')]);
}

export class Sysfs {
  /** Paths of all devices, in the order in which the kernel told of them. */
  private readonly told: string[] = [];
  private readonly uevents = new Map<string, string>();

  add(path: string, { subsystem, driver, uevent = {}, attributes = {}, node }: Entry): void {
    const full = `/sys${path}`;
    mkdirSync(full, { recursive: true });
    const [major = '', minor = ''] = node?.number.split(':') ?? [];
    const lines = {
      ...(node === undefined ? {} : { MAJOR: major, MINOR: minor, DEVNAME: node.name }),
      ...(driver === undefined ? {} : { DRIVER: driver }),
      ...uevent,
    };
    this.uevents.set(path, textOf(lines));
    writeFileSync(join(full, 'uevent'), textOf(lines));
    for (const [name, value] of Object.entries(attributes)) {
      mkdirSync(dirname(join(full, name)), { recursive: true });
      writeFileSync(join(full, name), `${value}\n`);
    }
    if (subsystem !== undefined) this.file(full, subsystem);
    if (driver !== undefined) link(`/sys/bus/${subsystem}/drivers/${driver}`, join(full, 'driver'));
    if (node !== undefined) {
      writeFileSync(join(full, 'dev'), `${node.number}\n`);
      link(full, `/sys/dev/char/${node.number}`);
      mknod(`/dev/${node.name}`, node.number);
    }
    this.told.push(path);
  }

  /** As a start does: udevd sees every device, parents first; of a sound card it hears twice (78-sound-card.rules). */
  coldplug(): void {
    rmSync('/run/udev/data', { recursive: true, force: true });
    mkdirSync('/run/udev/data');
    for (const path of this.told) udevadm('add', path);
    for (const path of this.told) if (/\/sound\/card\d+$/.test(path)) udevadm('change', path);
  }

  /**
   * Lets somebody write into `uevent` files, `change` and an argument behind it, and has udevd hear of it as the kernel would
   * (lib/kobject_uevent.c, kobject_synth_uevent). Returns whether anything was written.
   */
  synthesize(write: () => void): boolean {
    for (const path of this.told) writeFileSync(`/sys${path}/uevent`, '');
    write();
    const asked = this.told.map((path) => ({ path, written: readFileSync(`/sys${path}/uevent`, 'utf8') }));
    for (const path of this.told) writeFileSync(`/sys${path}/uevent`, this.uevents.get(path) ?? '');
    for (const { path, written } of asked) {
      const [action = '', uuid, argument] = written.split(' ');
      if (action === '') continue;
      const before = this.uevents.get(path) ?? '';
      const more = uuid === undefined ? '' : `SYNTH_UUID=${uuid}\nSYNTH_ARG_${argument}\n`;
      writeFileSync(`/sys${path}/uevent`, `${before}${more}`);
      udevadm(action, path);
      writeFileSync(`/sys${path}/uevent`, before);
    }
    return asked.some(({ written }) => written !== '');
  }

  private file(full: string, subsystem: string): void {
    const isClass = classes.has(subsystem);
    const home = isClass ? `/sys/class/${subsystem}` : `/sys/bus/${subsystem}`;
    const members = isClass ? home : `${home}/devices`;
    mkdirSync(members, { recursive: true });
    link(home, join(full, 'subsystem'));
    link(full, join(members, basename(full)));
    const parent = dirname(full).replace(/\/(input|sound|drm|hidraw|bluetooth|misc)$/, '');
    if (isClass && existsSync(join(parent, 'uevent'))) link(parent, join(full, 'device'));
  }
}

function link(target: string, path: string): void {
  mkdirSync(target, { recursive: true });
  mkdirSync(dirname(path), { recursive: true });
  symlinkSync(relative(dirname(path), target), path);
}

const textOf = (lines: Readonly<Record<string, string>>): string =>
  Object.entries(lines)
    .map(([key, value]) => `${key}=${value}\n`)
    .join('');

/** The real rules on one event of one device. Their result goes into the database. */
function udevadm(action: string, path: string): void {
  const { status, stderr, error } = spawnSync('udevadm', ['test', `--action=${action}`, `/sys${path}`], {
    encoding: 'utf8',
    timeout: 20_000,
    // This sysfs is a tmpfs (systemd, sd-device.c).
    env: { ...process.env, SYSTEMD_DEVICE_VERIFY_SYSFS: '0' },
  });
  if (error !== undefined) throw error;
  const wrong = stderr.split('\n').filter((line) => /hotseat/.test(line) && /rror|nvalid|gnor|Failed/.test(line));
  if (status !== 0 || wrong.length > 0)
    throw new Error(`udevadm test ${path}: ${status}\n${wrong.join('\n') || stderr}`);
}
