import type { Logger } from 'pino';
import { type Resource, resourceNames, type SeatPolicy } from '../core/policy.js';
import type { Amounts, Shares } from '../core/shares.js';
import type { Container } from '../engines/engine.js';
import { readGroup } from '../kernel/group-files.js';
import { instance, instances, patch } from './incus.js';
import { keyChange, markKey } from './incus-keys.js';
import { type SharePlace, sharePlace } from './place.js';
import { amountsAt } from './placed.js';

export interface IncusSharesDeps {
  readonly root: string;
  readonly log: Logger;
  readonly writeGroup: (container: Container, group: string, id: bigint, amounts: Amounts) => Promise<void>;
}

/** Shares of Incus's instances. Each instance says itself which of its keys are ours, so that nothing is forgotten by a crash. */
export class IncusShares {
  /** By group: the init, shares and amounts of the last request to Incus, and the amounts that could not be sent. */
  private readonly settled = new Map<string, { readonly tag: string; readonly problems: readonly string[] }>();

  constructor(private readonly deps: IncusSharesDeps) {}

  /**
   * Has an instance have its shares; what of them it cannot have is returned, in words. Incus is asked when something is not as
   * it was when it was asked last, and not otherwise.
   */
  async apply(
    place: Extract<SharePlace, { readonly kind: 'incus' }>,
    shares: Shares,
    keys: readonly string[],
  ): Promise<readonly string[]> {
    const { root, log } = this.deps;
    const tag = (): string => {
      return JSON.stringify([keys, shares, amountsAt(root, place.group)]);
    };
    const before = this.settled.get(place.group);
    if (before !== undefined && before.tag === tag()) return before.problems;
    const found = await instance(place.project, place.instance);
    if (found === undefined) throw new Error(`Incus has no instance ${place.instance} in the project ${place.project}`);
    const { change, problems } = keyChange(found.config, found.expanded, shares);
    await this.patch(found, change, []);
    if (Object.keys(change).length > 0) log.info({ instance: place.instance, keys: change }, 'shares set');
    this.settled.set(place.group, { tag: tag(), problems });
    return problems;
  }

  /** Takes our keys from instances that are no seat's any more, or whose shares are set elsewhere by now. */
  async sweep(seats: readonly SeatPolicy[], containers: readonly Container[]): Promise<void> {
    const running = containers.filter(({ engine }) => engine === 'incus');
    for (const found of await instances()) {
      if (found.config[markKey] === undefined) continue;
      const name = nameOf(found);
      const isSeat = seats.some(({ container }) => container.engine === 'incus' && container.name === name);
      const here = running.find((one) => one.name === name);
      // An instance that does not run will start by its keys.
      if (isSeat && (here === undefined || sharePlace(here, this.deps.root).kind === 'incus')) continue;
      await this.patch(found, keyChange(found.config, found.expanded, undefined).change, running);
      this.deps.log.info({ instance: name }, 'shares put back');
    }
  }

  private async patch(
    found: { readonly project: string; readonly name: string },
    change: Readonly<Record<string, string>>,
    running: readonly Container[],
  ): Promise<void> {
    if (Object.keys(change).length === 0) return;
    await patch(found, change);
    // Incus takes a priority that is no more for 5, which is a weight of 500 (driver_lxc.go); the kernel begins with 100.
    const container = running.find((one) => one.name === nameOf(found));
    if (change['limits.disk.priority'] !== '' || container === undefined) return;
    const { group } = sharePlace(container, this.deps.root);
    const there = readGroup(this.deps.root, group, []);
    if (there !== undefined) await this.deps.writeGroup(container, group, there.id, { io: '' });
  }
}

/** As the engine's cgroups name it. */
const nameOf = ({ project, name }: { readonly project: string; readonly name: string }): string =>
  project === 'default' ? name : `${project}_${name}`;

/** Resources of which something is asked. */
export const askedOf = (shares: Shares): Resource[] => resourceNames.filter((name) => shares[name].asked);
