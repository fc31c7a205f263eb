import { readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { monitorName } from '../core/edid.js';
import { namesIn, readUnlessGone } from '../kernel/read.js';
import { soon } from '../kernel/soon.js';
import { host, located, type Roots } from './enumerate.js';

/** A socket of a graphics card for a monitor, as sysfs has it. */
export interface Connector {
  /** `DP-1`: the same at every boot, as long as driver and slot are (drm_connector.c, drm_connector_init). */
  readonly name: string;
  /** The state when the kernel last looked. Nothing here makes it look (drm_sysfs.c, status_show). */
  readonly status: 'connected' | 'disconnected' | 'unknown';
  /** The monitor's own name; undefined where there is no monitor or no name, or where it took too long. */
  readonly monitor: string | undefined;
}

/** The kernel gives the EDID out only when nobody probes a connector of the card, which takes seconds with some monitors, ms. */
const patience = 500;

/**
 * The connectors of a card, by their names; `card` is the path of `cardN` in sysfs. They are known as soon as they are asked
 * for, but for a monitor's name, which is not waited for any longer than `patienceMs`.
 */
export function connectorsOf(card: string, roots: Roots = host, patienceMs = patience): Promise<Connector[]> {
  const directory = located(card, roots);
  return Promise.all(
    connectorNames(card, roots).map(async (name): Promise<Connector> => {
      const files = join(directory, `${basename(card)}-${name}`);
      const status = await readFile(join(files, 'status'), 'latin1').catch(() => '');
      const edid = await soon(
        readFile(join(files, 'edid')).catch(() => undefined),
        patienceMs,
      );
      return { name, status: statusOf(status.trim()), monitor: edid && monitorName(edid) };
    }),
  );
}

/** Whether a monitor is at each of them, as the kernel saw it last: nothing is waited for. */
export const connectorStatuses = (card: string, roots: Roots = host): Map<string, Connector['status']> =>
  new Map(
    connectorNames(card, roots).map((name) => {
      const file = join(located(card, roots), `${basename(card)}-${name}`, 'status');
      return [name, statusOf((readUnlessGone(file) ?? '').trim())];
    }),
  );

/** Their names alone: `DP-1`, `HDMI-A-1`; `card` is the path of `cardN` in sysfs. */
export const connectorNames = (card: string, roots: Roots = host): string[] =>
  connectorsAmong(namesIn(located(card, roots)), basename(card));

/** The names of a card's connectors (`DP-1`) among names of directories in sysfs (`card1-DP-1`). */
export function connectorsAmong(entries: readonly string[], card: string): string[] {
  const prefix = `${card}-`;
  return entries
    .flatMap((entry) => (entry.startsWith(prefix) ? [entry.slice(prefix.length)] : []))
    .filter(isForMonitors)
    .sort((a, b) => a.localeCompare(b, 'en', { numeric: true }));
}

/** A writeback connector has no monitor: it puts the picture into memory (drm_writeback.c). */
const isForMonitors = (name: string): boolean => /^[A-Za-z][A-Za-z0-9-]*-\d+$/.test(name) && !/^Writeback-/.test(name);

const statusOf = (text: string): Connector['status'] =>
  text === 'connected' || text === 'disconnected' ? text : 'unknown';
