import { readdirSync } from 'node:fs';
import { basename, join } from 'node:path';
import { type DeviceNumber, numberText } from '../../../agent/core/device.js';
import { graftsOf, journalRoot, nodeClasses, seatRoot } from '../../../agent/seat/layout.js';
import type { Run } from './containers.js';
import { idOf, type PcDevice } from './pc.js';
import { ownersOf, type Seat, seats } from './wishes.js';
import type { World } from './world.js';

/** Where the world is not as it must be once everything has been told and looked at, in words; empty when it is. */
export function differences(world: World): string[] {
  const differences: string[] = [];
  const same = (what: string, is: Iterable<string>, due: Iterable<string>): void => {
    const [a, b] = [[...is].sort().join(' '), [...due].sort().join(' ')];
    if (a !== b) differences.push(`${what}: is [${a}], must be [${b}]`);
  };
  for (const seat of seats) {
    const devices = devicesOf(world, seat);
    const run = shallServe(world, seat);
    same(
      `${seat}: nodes`,
      nodesIn(seat),
      devices.flatMap(({ node }) => node ?? []),
    );
    same(`${seat}: records`, namesIn(join(seatRoot(seat), 'udev/data')), devices.map(idOf));
    same(`${seat}: journal`, [...(world.journalOf(seat)?.entries.keys() ?? [])], devices.map(idOf));
    const files = namesIn(journalRoot(seat)).filter((name) => name !== 'container');
    same(
      `${seat}: journal's files`,
      files,
      devices.map((device) => `${idOf(device)}.json`),
    );
    same(`${seat}: container`, [world.runOf(seat)?.key ?? ''], [run?.key ?? '']);
  }
  for (const run of world.containers.running) compare(world, run, same);
  for (const run of world.containers.populated.filter(({ lingers }) => lingers)) compareLingering(world, run, same);
  const smuggled = world.smuggled.filter(
    (device) => !seats.some((seat) => world.isHers([seat]) && devicesOf(world, seat).includes(device)),
  );
  same(
    'smuggled out',
    smuggled.map(({ syspath }) => syspath),
    [],
  );
  for (const outsider of world.outsiders) {
    const strange = [...outsider.open, ...outsider.inFlight].filter((device) => {
      const unit = device.number === undefined ? undefined : world.pc.at(device.number)?.unit;
      return unit === undefined || !world.mayHave(outsider, device, ownersOf(world.wishes, unit));
    });
    same(
      `${outsider.name}: open`,
      strange.map(({ syspath }) => syspath),
      [],
    );
  }
  const ids = new Set(world.containers.populated.map(({ id }) => id));
  const strange = world.map.read().filter(({ cgroup }) => cgroup !== 0n && !ids.has(cgroup));
  same(
    'of containers that have gone',
    strange.map(({ number }) => numberText(number)),
    [],
  );
  const granted = world.map.read().flatMap(({ cgroup, number }) => (cgroup === 0n ? [] : [numberText(number)]));
  const unused = world.map
    .read()
    .filter(({ cgroup, number }) => cgroup === 0n && !granted.includes(numberText(number)));
  same(
    'generations of nothing',
    unused.map(({ number }) => numberText(number)),
    [],
  );
  same('problems', world.agent?.house.problems() ?? [], []);
  return differences;
}

function compare(world: World, run: Run, same: (what: string, is: string[], due: string[]) => void): void {
  const seat = seats.find((one) => shallServe(world, one) === run);
  const devices = seat === undefined ? [] : devicesOf(world, seat);
  const numbers = devices.flatMap(({ number }) => number ?? []);
  const name = `container ${run.name}`;
  // A container that is no seat's any more may stay guarded until it ends.
  if (seat !== undefined) same(`${name}: guarded`, [String(world.map.isGuarded(run.id))], ['true']);
  const granted = [...(world.map.grants().get(run.id) ?? [])];
  same(
    `${name}: granted`,
    granted.map(([number, now]) => `${number} ${now ? 'in force' : 'void'}`),
    inForce(numbers),
  );
  same(
    `${name}: open`,
    [...run.open, ...run.inFlight].filter((device) => !devices.includes(device)).map(({ syspath }) => syspath),
    [],
  );
  // Its programs find a device dead that they read by themselves, and of which nobody ever told them.
  const heard = run.isSpokenTo || seat !== undefined ? [...run.known] : [];
  // A head that they read of, and that has no node to open, is nothing to them.
  const isNothing = (devpath: string, device: PcDevice | undefined): boolean =>
    run.read.has(devpath) && device?.number === undefined && !isAs(devices, device);
  const known = heard
    .filter(([devpath, device]) => !isNothing(devpath, device))
    .map(([devpath, device]) => `${devpath} ${isAs(devices, device) ? 'now' : 'once'}`);
  // Nor does anybody tell it what it missed.
  if (!run.hasHidden)
    same(
      `${name}: known`,
      known,
      devices.map(({ syspath }) => `${syspath.slice('/sys'.length)} now`),
    );
  const grafts = seat === undefined ? [] : graftsOf(nodeClasses.filter((one) => one !== 'hidraw'));
  const targets = new Set(grafts.map(({ target }) => `/${target}`));
  for (const { node, subsystem } of devices) if (subsystem === 'hidraw') targets.add(`/dev/${basename(node ?? '')}`);
  const raws = [...targets].filter((target) => target.startsWith('/dev/hidraw'));
  const shown = run.mounts.map(({ target }) => target).filter((target) => target.startsWith('/dev/hidraw'));
  // In a container that hid who it was, a mount of a node that has gone can lie about.
  if (run.hasHidden) for (const target of shown) targets.add(target);
  else same(`${name}: shown`, shown, raws);
  const mounts = run.mounts.filter((mount) => !run.configured.includes(mount));
  same(
    `${name}: mounts`,
    mounts.flatMap(({ target }) => (targets.delete(target) ? [] : [target])),
    [],
  );
}

/** The rest of a container has only devices that its seat still keeps, and opens nothing any more. */
function compareLingering(world: World, run: Run, same: (what: string, is: string[], wanted: string[]) => void): void {
  const seat = seats.find((one) => world.journalOf(one)?.tenant?.key === run.key);
  const kept = seat === undefined ? [] : devicesOf(world, seat);
  const name = `left of container ${run.name}`;
  same(`${name}: granted`, [...(world.map.grants().get(run.id)?.keys() ?? [])], []);
  const open = [...run.open, ...run.inFlight].filter((device) => !kept.includes(device));
  same(
    `${name}: open`,
    open.map(({ syspath }) => syspath),
    [],
  );
}

/** Whether the announcement of a device was about the device that is plugged now. */
const isAs = (devices: readonly PcDevice[], device: PcDevice | undefined): boolean =>
  device !== undefined && devices.includes(device);

const inForce = (numbers: readonly DeviceNumber[]): string[] =>
  numbers.map((number) => `${numberText(number)} in force`);

/** The container that a seat must have. */
const shallServe = ({ wishes, containers }: World, seat: Seat): Run | undefined =>
  wishes.seats.includes(seat) ? containers.named(wishes.containers[seat]) : undefined;

const devicesOf = ({ pc, wishes }: World, seat: Seat): PcDevice[] =>
  pc.units.flatMap((unit) => (ownersOf(wishes, unit).includes(seat) ? unit.devices : []));

const nodesIn = (seat: Seat): string[] =>
  nodeClasses.flatMap((name) => namesIn(join(seatRoot(seat), 'dev', name)).map((node) => `${name}/${node}`));

const namesIn = (directory: string): string[] => readdirSync(directory);
