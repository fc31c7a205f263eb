import { rmSync } from 'node:fs';
import { basename, join } from 'node:path';
import { type Logger, pino } from 'pino';
import { Trail, trailFile } from './audit/trail.js';
import { listens } from './control/client.js';
import { permitted } from './control/permission.js';
import { parseNumber } from './core/device.js';
import type { SeatPolicy } from './core/policy.js';
import type { Placeholder } from './core/step.js';
import { DescriptorKeeper } from './descriptors/descriptor-keeper.js';
import { Engines } from './engines/all.js';
import type { Container } from './engines/engine.js';
import { forgetAtBoot } from './host/at-boot.js';
import { restoreConsoles } from './host/consoles.js';
import { groupOnHost } from './host/groups.js';
import { removeRules } from './host/udev-rules.js';
import { cgroupRoot } from './kernel/cgroup.js';
import { DeviceMap } from './kernel/device-map.js';
import { DevicesV1 } from './kernel/devices-v1.js';
import { closeDoors } from './kernel/doors.js';
import { isSysError } from './kernel/errors.js';
import { watchExecs } from './kernel/execs.js';
import { Helpers } from './kernel/helpers.js';
import { watchInits } from './kernel/inits.js';
import { mountPoints } from './kernel/mount.js';
import { Namespaces } from './kernel/namespaces.js';
import { processKey } from './kernel/process-key.js';
import { directoriesIn, namesIn } from './kernel/read.js';
import { Reclaim } from './kernel/reclaim.js';
import { RecordFile } from './kernel/record-file.js';
import { watchThreads } from './kernel/thread-facts.js';
import { removeWithdraw } from './kernel/withdraw.js';
import { letGo } from './outputs/let-go.js';
import { SeatController } from './seat/controller.js';
import { putAway } from './seat/directory.js';
import { effectsBy } from './seat/effects.js';
import { graftsIn } from './seat/graft.js';
import { Grants } from './seat/grants.js';
import { Journal } from './seat/journal.js';
import {
  controlSocket,
  descriptorMarker,
  holderMarker,
  journalRoot,
  runtime,
  scoreRecord,
  seatRoot,
  shareRecord,
  standstills,
} from './seat/layout.js';
import { ShownNodes } from './seat/shown.js';
import { thawAll } from './seat/thaw-all.js';
import { isFormer, isScore } from './shares/former.js';
import { ShareKeeper } from './shares/share-keeper.js';
import { DeviceTable } from './udev/table.js';

/**
 * Gives everything back, as if there had never been an agent: devices to the host, their own rules to the containers,
 * the keyboards to the consoles. For an uninstallation, and refused while the agent runs. Each part is tried, even
 * after another has failed. Failures are returned, in words.
 */
export async function release(): Promise<string[]> {
  const log = pino({ name: 'hotseat', level: 'warn' }, pino.destination({ dest: 2, sync: true }));
  if (await listens(controlSocket)) throw new Error('the agent is running: systemctl stop hotseat comes first');
  const failed: string[] = [];
  const attempt = async (what: string, action: () => void | Promise<void>): Promise<void> => {
    try {
      await action();
    } catch (error) {
      failed.push(`${what}: ${(error as Error).message}`);
    }
  };
  const seats = directoriesIn(join(runtime, 'seats'));
  await attempt('containers that stand still', thawAll);
  // First: even if this is stopped before its end, the next boot is the host's.
  await attempt('boot', forgetAtBoot);
  await attempt('consoles', () => restoreConsoles(log));
  const placeholders = new Map(seats.map((seat) => [seat, placeholdersOf(seat)]));
  // Denied before gone, gone before taken back: the order of every removal.
  const map = DeviceMap.open({ cgroupRoot: cgroupRoot() });
  const grants = new Grants(map, DevicesV1.find(map.root));
  const containers = await runningContainers();
  await attempt('grants', () => denyAll(map, grants, containers));
  await attempt('seats', () => empty(grants, seats, containers, log));
  await attempt('outputs', () => letGo(holderMarker));
  await attempt('grafts', () => unmountGrafts(containers, placeholders));
  await attempt('shares', () => putSharesBack(map.root, containers, log));
  await attempt("the engines' programs", () => {
    for (const cgroup of cgroups(cgroupRoot())) {
      try {
        closeDoors(cgroup);
      } catch (error) {
        if (!isSysError(error, 'ENOENT')) throw error; // a group that went meanwhile
      }
    }
  });
  await attempt('withdrawal', removeWithdraw);
  await attempt('guard', () => map.remove());
  map.close();
  await attempt('udev rules', removeRules);
  await attempt('directories', () => {
    for (const { target } of mountPoints('self')) if (seats.map(seatRoot).includes(target)) putAway(target);
    // Its mark tells the next agent of a container that still stands still.
    const kept = namesIn(standstills).length > 0 ? [basename(standstills)] : [];
    for (const name of namesIn(runtime)) {
      if (!kept.includes(name)) rmSync(join(runtime, name), { recursive: true, force: true });
    }
    if (kept.length === 0) rmSync(runtime, { recursive: true, force: true });
  });
  return failed;
}

function denyAll(map: DeviceMap, grants: Grants, containers: readonly Container[]): void {
  for (const { cgroup } of containers) {
    for (const text of [...grants.of(cgroup).keys()]) {
      const number = parseNumber(text);
      if (number !== undefined) grants.deny(cgroup, number);
    }
  }
  // And those of containers that have gone.
  for (const [cgroup, numbers] of map.grants()) {
    for (const number of [...numbers.keys()].map(parseNumber)) if (number !== undefined) map.deny(cgroup, number);
  }
}

/**
 * A policy in which no seat gets anything empties them: nodes and records go, programs that were told of a device are
 * told that it goes, open descriptors are taken back.
 */
async function empty(
  grants: Grants,
  seats: readonly string[],
  containers: readonly Container[],
  log: Logger,
): Promise<void> {
  const table = new DeviceTable();
  table.take({ kind: 'resync', reason: 'start' });
  const helpers = new Helpers();
  const namespaces = new Namespaces(helpers);
  const effects = effectsBy(new Reclaim(helpers));
  const trail = new Trail({ file: trailFile, log, revision: () => 'none', group: groupOnHost(permitted.all) });
  const ended = trail.open({ what: 'run', process: processKey(process.pid) });
  const ignore = () => undefined;
  const descriptors = new DescriptorKeeper({ log, namespaces, controller: () => controller, marker: descriptorMarker });
  const controller: SeatController = new SeatController({
    ...{ log, table, grants, namespaces, effects, audit: trail.open, tell: ignore, measure: ignore, descriptors },
  });
  try {
    const nothing = { revision: 'none', console: 'open' } as const;
    const all = controller.adopt({ ...nothing, seats: withNothing(seats, containers) });
    controller.populate(containers);
    await controller.serve(all);
    // Devices go even when their container could not be told.
    await controller.serve(controller.adopt({ ...nothing, seats: [] }));
    await descriptors.end();
    const problems = controller.problems();
    if (problems.length > 0) throw new Error(problems.join('; '));
  } finally {
    descriptors.close();
    await controller.close();
    namespaces.close();
    ended({ end: 'done' });
    trail.close();
  }
}

/** The seats whose container runs, known by their journals: the policy may be another by now, or none. */
const withNothing = (seats: readonly string[], containers: readonly Container[]): SeatPolicy[] =>
  seats.flatMap((seat) => {
    const audience = new Set([...journalOf(seat).entries.values()].flatMap(({ knownTo, toldTo }) => [knownTo, toldTo]));
    const container = containers.find(({ key }) => audience.has(key));
    return container === undefined ? [] : [{ seat, container, rules: [], file: '' }];
  });

/** The groups of all seats get the weights and the bounds that they had before there was an agent. */
async function putSharesBack(root: string, containers: readonly Container[], log: Logger): Promise<void> {
  const namespaces = new Namespaces();
  const shares = new ShareKeeper({
    ...{ root, log, namespaces, record: new RecordFile(shareRecord, isFormer) },
    scores: new RecordFile(scoreRecord, isScore),
  });
  try {
    shares.populate(containers);
    await shares.putBack();
  } finally {
    shares.close();
    namespaces.close();
  }
}

/** A container, as far as its mounts are concerned. */
type Guest = Pick<Container, 'pid' | 'key' | 'uid' | 'gid'>;

/** Grafts, and mounts by the container's own configuration, go from every container that runs. Rejects when some could not. */
export async function unmountGrafts(
  containers: readonly Guest[],
  seats: ReadonlyMap<string, ReadonlyMap<string, Placeholder>>,
): Promise<void> {
  const namespaces = new Namespaces();
  const errors: string[] = [];
  try {
    for (const container of containers) {
      // A container that does not answer keeps nobody else's from going.
      await unmountIn(container, namespaces, seats).catch(({ message }: Error) => errors.push(message));
    }
  } finally {
    namespaces.close();
  }
  if (errors.length > 0) throw new Error(errors.join('; '));
}

async function unmountIn(
  container: Guest,
  namespaces: Namespaces,
  seats: ReadonlyMap<string, ReadonlyMap<string, Placeholder>>,
): Promise<void> {
  for (const [seat, placeholders] of seats) {
    const shown = new ShownNodes(container, namespaces, seatRoot(seat));
    await shown.look();
    for (const name of shown.now ?? []) await shown.hide(name, placeholders.get(name));
  }
  const targets = await graftsIn(namespaces, container, [...seats.keys()].map(seatRoot));
  if (targets.length > 0) await namespaces.unmount(container, targets);
}

/**
 * Everybody's, as the agent finds them: the kernel tells of processes by itself, where it can. A look into one can last for ever,
 * and an init can be where no search finds it. From then on this process asks the kernel first.
 */
export async function runningContainers(root = cgroupRoot()): Promise<readonly Container[]> {
  if (watchThreads() !== undefined) watchExecs();
  const inits = watchInits().ask;
  const namespaces = new Namespaces();
  const engines = new Engines(root, { commandLine: (monitor) => namespaces.commandLine(monitor), inits });
  try {
    return await engines.listAll();
  } finally {
    engines.close();
    namespaces.close();
  }
}

/** By node, the files that were made for it in its container. */
function placeholdersOf(seat: string): Map<string, Placeholder> {
  return new Map(
    [...journalOf(seat).entries.values()].flatMap(({ node, placeholder }) =>
      node === undefined || placeholder === undefined ? [] : [[node.name, placeholder]],
    ),
  );
}

const journalOf = (seat: string): Journal => new Journal(journalRoot(seat), () => undefined);

/** So many groups are gone through: a container or a user can make any number, in each other. */
const mostGroups = 100_000;

/** The upper ones first. Engines attach theirs far up: a process inside cannot push those out of the list. */
function cgroups(top: string): string[] {
  const found = [top];
  for (let at = 0; at < found.length; at++) {
    const group = found[at] ?? top;
    for (const name of directoriesIn(group, mostGroups - found.length)) found.push(join(group, name));
  }
  return found;
}
