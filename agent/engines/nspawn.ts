import { basename } from 'node:path';
import { type Dialect, seatSlice } from './dialect.js';
import { journalStream } from './streams/program.js';

/** How systemd writes a name in a unit's name: `\x2d` for a character that is not allowed there (systemd.unit(5)). */
const unescaped = (text: string): string =>
  text.replace(/\\x([0-9a-f]{2})/g, (_all, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));

const service = /^systemd-nspawn@(.+)\.service$/;
const scope = /^machine-(.+)\.scope$/;

/**
 * The ids in the journal when systemd-machined tells of a machine that starts or ends (sd-messages.h,
 * SD_MESSAGE_MACHINE_*).
 */
const events = journalStream(
  '_SYSTEMD_UNIT=systemd-machined.service',
  'MESSAGE_ID=24d8d4452573402496068381a6312df2',
  'MESSAGE_ID=58432bd3bace477cb514b56381b8a758',
);

/**
 * Containers of systemd-nspawn: run by its template unit, or by hand, when systemd-machined makes a scope for them.
 * The unit carries the device program; the container itself lives in `payload` below, and sees nothing above that.
 */
export const nspawn: Dialect = {
  engine: 'nspawn',
  program: 'systemd-nspawn',
  attachesOnce: false,
  renames: false,
  paths: [
    [/^machine\.slice$/, service],
    [/^machine\.slice$/, scope],
    [...seatSlice, service],
    [...seatSlice, scope],
  ],
  identify: ({ cgroup }) => {
    const unit = basename(cgroup);
    const name = (service.exec(unit) ?? scope.exec(unit))?.[1];
    return name === undefined ? undefined : { name: unescaped(name), user: undefined };
  },
  streams: () => [events],
};
