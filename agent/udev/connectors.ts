import { basename, join } from 'node:path';
import { monitorName } from '../core/edid.js';
import type { Helpers } from '../kernel/helpers.js';
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

/** Longest that names of monitors are waited for, ms; a helper process may have to start first. */
const patience = 5000;
/** A base block and 255 extensions (VESA E-EDID 1.4), bytes. */
const longestEdid = 256 * 128;

/**
 * The connectors of a card, by their names; `card` is the path of `cardN` in sysfs. A helper process reads the names of the monitors:
 * the kernel gives an EDID out only when nobody has the connectors of the card locked (drm_sysfs.c, edid_show). A probe
 * does so for seconds, and a program that has the card open as long as it likes. What is late is left out.
 */
export async function connectorsOf(
  card: string,
  helpers: Pick<Helpers, 'ask'>,
  roots: Roots = host,
  patienceMs = patience,
): Promise<Connector[]> {
  const statuses = [...connectorStatuses(card, roots)];
  const filled = statuses.filter(([, status]) => status !== 'disconnected').map(([name]) => name);
  const files = filled.map((name) => join(located(card, roots), `${basename(card)}-${name}`, 'edid'));
  const what = { kind: 'drm', owner: card, files, limit: longestEdid, encoding: 'latin1' } as const;
  const texts =
    files.length === 0
      ? []
      : await soon(
          helpers.ask({ do: 'read-files', ...what }).catch(() => []),
          patienceMs,
        );
  return statuses.map(([name, status]) => {
    const edid = texts?.[filled.indexOf(name)];
    return { name, status, monitor: edid === undefined ? undefined : monitorName(Buffer.from(edid, 'latin1')) };
  });
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
