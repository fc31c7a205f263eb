import { z } from 'zod';
import { kinds } from '../core/policy.js';

/** A value that becomes part of a udev rule: printable, and without what would end it or split it (udev(7)). */
const safe = /^[^"|\\\p{Cc}\p{Cf}\p{Zl}\p{Zp}]*$/u;
const unsafe = 'must be printable and without ", | and \\: write alternatives as a list';

const pattern = z.string().regex(safe, unsafe).max(200);
const oneOrMore = <T extends z.ZodType>(item: T) => z.union([item, z.array(item).min(1)]);

const port = z
  .string()
  .regex(/^[a-z]+-[A-Za-z0-9:._-]+$/, 'must be an ID_PATH up to the port, such as pci-0000:00:14.0-usb-0:2');

/** Conditions that may be negated. Upper-case keys are udev properties and are checked apart. */
const plain = {
  subsystem: oneOrMore(z.enum(['input', 'sound', 'drm'])).optional(),
  sysname: oneOrMore(pattern).optional(),
  kind: oneOrMore(z.enum(kinds)).optional(),
  port: oneOrMore(port).optional(),
};

/** Names of udev properties as systemd writes them. */
export const propertyName = /^[A-Z][A-Z0-9_]*$/;

const properties = oneOrMore(pattern);
const negated = z.object(plain).catchall(properties);
const match = z
  .object({
    ...plain,
    attr: z
      .record(z.string().regex(/^[A-Za-z0-9_/]+$/, 'must be the name of a sysfs attribute'), oneOrMore(pattern))
      .optional(),
    not: negated.optional(),
  })
  .catchall(properties);

const boolean = z.enum(['true', 'false']);

const rule = z.strictObject({
  label: z.string().regex(safe, unsafe).min(1).max(120),
  match,
  share: boolean.optional(),
  revoke: z.enum(['auto', 'hard']).optional(),
});

/** Names that may stand in a path and, behind `seat-`, as logind's seat (sd-login, seat_name_is_valid). */
const seatName = z
  .string()
  .regex(/^[a-z][a-z0-9-]{0,30}$/, 'must be 1 to 31 of a-z, 0-9 and -, beginning with a letter')
  .refine((name) => name !== 'hotseat' && !name.startsWith('seat'), 'is a name that logind or Hotseat uses itself');

const containerName = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/, 'must be the name of a container');

export const seatFile = z.strictObject({
  seat: seatName,
  container: z.strictObject({ engine: z.enum(['lxc']), name: containerName }),
  devices: z.array(rule),
});

export const hostFile = z.strictObject({ console: z.enum(['mute', 'open']).optional() });

export type SeatFile = z.infer<typeof seatFile>;
export type MatchFile = z.infer<typeof match>;
export type HostFile = z.infer<typeof hostFile>;

/** Keys of a match that are not udev properties. */
export const matchKeys: readonly string[] = [...Object.keys(plain), 'attr', 'not'];
