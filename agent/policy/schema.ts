import * as z from 'zod';
import { attributeNames, isJointName, jointNodes } from '../core/device.js';
import { isPlainName, plainNames } from '../core/plain.js';
import { engineNames, kinds, receipts } from '../core/policy.js';

/**
 * A value that becomes part of a udev rule: printable, and without characters that would end or split it (udev(7)).
 */
const safe = /^[^"|\\\p{Cc}\p{Cf}\p{Zl}\p{Zp}]*$/u;
const unsafe = 'must be printable and without ", | and \\: write alternatives as a list';

const pattern = z
  .string()
  .regex(safe, unsafe)
  // `[[:alpha:]]` and its like are fnmatch's, not ours: better refused than read in two ways.
  .regex(/^(?!.*\[[.:=])/s, 'must not use classes of characters such as [[:alpha:]]: write [a-z]')
  // udevd cuts the white space from the end of an attribute, but not if the pattern ends in some (udev-rules.c).
  .regex(/(^|\S)$/, 'must not end in white space: end it with * or without')
  .max(200);

/** One of something, or a list of alternatives. */
export const oneOrMore = <T extends z.ZodType>(item: T) => z.union([item, z.array(item).min(1).max(32)]);
export const list = <T>(value: T | readonly T[]): readonly T[] =>
  Array.isArray(value) ? (value as readonly T[]) : [value as T];

const port = z
  .string()
  .regex(/^[a-z]+-[A-Za-z0-9:._-]+$/, 'must be an ID_PATH up to the port, such as pci-0000:00:14.0-usb-0:2')
  .max(200);

/** Conditions that may be negated. Upper-case keys are udev properties and are checked apart. */
const plain = {
  subsystem: oneOrMore(z.enum(['input', 'sound', 'drm']))
    .optional()
    .describe("The kernel's name for it: `input`, `sound` or `drm`."),
  kind: oneOrMore(z.enum(kinds))
    .optional()
    .describe(
      'The kind of device. Kinds overlap: a tablet can be a mouse as well, a headset is `sound`, `microphone` and `speaker`, a `jack` of a sound card is a `switch`. `keys` means keys and nothing else: media and power keys, buttons of a headset, and the power button of the PC itself.',
    ),
  port: oneOrMore(port)
    .optional()
    .describe(
      'Where it is plugged: the `ID_PATH` of a port, which covers the device that is plugged there and all below a hub there. Port 2 is not port 21. Of two sockets that have one `ID_PATH`, `usbv2-0` or `usbv3-0` in it names the one of that bus, where udev says it (`ID_PATH_WITH_USB_REVISION`).',
    ),
  sysname: oneOrMore(pattern).optional().describe("The kernel's name, such as `card1`, by glob."),
};

/** Names of udev properties as systemd writes them. */
export const propertyName = /^[A-Z][A-Z0-9_]{0,63}$/;

/** Properties that cannot be matched: our rules, which run at 72, and the agent would not read the same. */
export const unfitProperties: readonly { readonly names: RegExp; readonly why: string }[] = [
  { names: /^HOTSEAT_/, why: "is Hotseat's own property: use ID_SEAT for the seat that the admin named" },
  {
    names: /^(ACTION|SEQNUM|USEC_INITIALIZED|DEVLINKS|TAGS|CURRENT_TAGS|UDEV_DATABASE_VERSION)$/,
    why: 'differs from event to event: use a property of the device',
  },
  {
    // A card and its render node have different ones, and an enumerated device has fewer of them than an event.
    names: /^(DEVNAME|DEVPATH|MAJOR|MINOR|SUBSYSTEM)$/,
    why: 'is of a node, and a device may have several: use subsystem, sysname or ID_PATH',
  },
  {
    names: /^DEVTYPE$/,
    why: 'is of what hangs on a bus, and of graphics cards: use subsystem or kind',
  },
  {
    names: /^(HID|PCI)_/,
    why: 'belongs to a parent of the device: use attr, ID_VENDOR_ID, ID_MODEL_ID or ID_PATH',
  },
  {
    // udev(7): keys of its rules, which are no properties.
    names:
      /^(KERNEL|KERNELS|SUBSYSTEMS|DRIVER|DRIVERS|ATTR|ATTRS|SYSFS|BUS|ENV|TAG|SYMLINK|TEST|PROGRAM|RESULT|CONST|SYSCTL|IMPORT|OWNER|GROUP|MODE)$/,
    why: "is a key of udev's rules and no property: use sysname, port, subsystem, attr or a property",
  },
  {
    names: /^SOUND_|_FROM_DATABASE$|^ID_ID$/,
    why: 'is set by udev only after the seat is decided: use ID_VENDOR_ID, ID_MODEL_ID, ID_SERIAL or ID_PATH',
  },
];

export const unfitProperty = (name: string): string | undefined =>
  unfitProperties.find(({ names }) => names.test(name))?.why;

const properties = oneOrMore(pattern).describe(
  'A udev property, by its name in upper case, by glob. A missing property counts as empty. `ID_SEAT` is the seat that `loginctl attach` named.',
);
const negated = z.object(plain).catchall(properties);
const match = z
  .object({
    ...plain,
    connector: oneOrMore(pattern)
      .optional()
      .describe(
        'Of a graphics card that all else matches only these outputs, by the names of their connectors in sysfs, such as `DP-1` or `HDMI-A-*`, by glob: other seats may have the others. The seat gets no node of the card; `hotseat-xorg` starts its X server, and with `receive: descriptor` a Wayland compositor asks for its outputs by itself.',
      ),
    attr: z
      .record(z.string(), oneOrMore(pattern))
      .superRefine((given, context) => {
        for (const key of Object.keys(given)) {
          // udevd knows every attribute, the agent reads these: any other would be read in two ways.
          if (attributeNames.includes(key)) continue;
          const [, inner] = /^(?:ATTRS?|SYSFS)\{([^{}]*)\}$/.exec(key) ?? [];
          const message = propertyName.test(key)
            ? `is a udev property and no attribute: write it beside attr`
            : inner !== undefined && attributeNames.includes(inner)
              ? `is a key of udev's rules: write ${inner}`
              : `is no attribute that can be matched: use ${attributeNames.join(', ')}`;
          context.addIssue({ code: 'custom', path: [key], message });
        }
      })
      .meta({ propertyNames: { enum: [...attributeNames] } })
      .optional()
      .describe(
        'Attributes in sysfs, by glob. All of them must belong to one device: this device or one of its parents.',
      ),
    not: negated
      .optional()
      .describe('Conditions of which none must hold: all of these keys but `connector`, `attr` and `not`.'),
  })
  .catchall(properties);

const boolean = z.enum(['true', 'false']);
const receive = z.enum(receipts);

/** An account of the container's own, by its name or number. */
const account = z.string().regex(/^([a-z_][a-z0-9_-]{0,31}|\d{1,10})$/, 'must be the name or number of an account');

const rule = z.strictObject({
  label: z.string().regex(safe, unsafe).min(1).max(120).describe('What people call it: in logs, answers and tests.'),
  match: match.describe('The conditions for a device. All of them must hold, and a list means or.'),
  share: boolean
    .optional()
    .describe('Whether several seats may have it, such as loudspeakers; every one of their rules must say so.'),
  whole: boolean
    .optional()
    .describe(
      'Whether all else that is the same physical device comes along: media keys of a keyboard, motion sensors of a pad, buttons of a headset, jacks of a card. It does where the match has a `kind`, unless this is `false`; but for what another rule asks for by itself, and never beyond the `port`, the `subsystem` and the `not` of the match.',
    ),
  hidraw: boolean
    .optional()
    .describe(
      'Whether its `/dev/hidrawN` comes along, for programs that speak with a game controller themselves. It hears every input of its device, so that it does only if all of them are of this one seat. One of a device without any input (a security key, a Stream Deck) comes by the port, by its own properties or with the rest of its device.',
    ),
  render: boolean
    .optional()
    .describe(
      'Beside `connector`: whether the render node of the card (`/dev/dri/renderDN`) comes along, for programs that draw with OpenGL or Vulkan. It opens no output and no picture of another seat. All seats of the card that have it use one memory and one queue of the card.',
    ),
  owner: account.optional().describe('The owner of its nodes inside: a user of the container. Without it, root.'),
  group: account
    .optional()
    .describe(
      'Their group inside; without it `input`, `audio`, `video` or `render`, as far as the container has them.',
    ),
  mode: z
    .string()
    .regex(/^0[0-7]{3}$/, 'must be four octal digits, such as 0660')
    .optional()
    .describe('Their permissions, in octal; 0660 without it.'),
  receive: receive
    .optional()
    .describe(
      'How its event nodes and raw nodes come, if not as the seat file says of all: `node`, `descriptor` or `both`.',
    ),
  revoke: z
    .enum(['auto', 'hard'])
    .optional()
    .describe(
      '`hard` has the driver bound again whenever the device changes hands. `auto` does so only when open descriptors may be left.',
    ),
});

/** Names that may stand in a path and, behind `seat-`, as logind's seat (sd-login, seat_name_is_valid). */
const seatName = z
  .string()
  .regex(/^[a-z][a-z0-9-]{0,30}$/, 'must be 1 to 31 of a-z, 0-9 and -, beginning with a letter')
  .regex(/^(?!hotseat$|seat)/, 'is a name that logind or Hotseat uses itself: take another');

const containerName = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/, 'must be the name of a container');

/** As useradd(8) takes them. */
const userName = z.string().regex(/^[a-z_][a-z0-9_-]{0,31}$/, 'must be a login name');

const container = z.strictObject({
  engine: z.enum(engineNames).describe('The engine that runs the container.'),
  name: containerName.describe('Its name; in an Incus project other than the default one, `project_name`.'),
  user: userName.optional().describe("The login name of whose engine runs it, when that is not root's."),
});

/** Texts that are whole numbers to every reader, and are written as such; with the least and the most that they may be. */
export const numbers = new Map<z.core.$ZodType, { readonly minimum: number; readonly maximum: number }>();
const numeric = <T extends z.ZodType>(text: T, minimum: number, maximum: number): T => {
  numbers.set(text, { minimum, maximum });
  return text;
};

/** Text on weights, in words that a reader of one key understands. */
const weight = (what: string) =>
  numeric(
    z.string().regex(/^([1-9]\d{0,3}|10000)$/, 'must be a weight: a whole number from 1 to 10000, 100 is even'),
    1,
    10_000,
  )
    .optional()
    .describe(
      `A weight from 1 to 10000. Without it, 100: all seats get the same. While several seats want ${what}, each gets its weight's part of the sum. A seat that is alone gets all.`,
    );

const units: Readonly<Record<string, number>> = { M: 2 ** 20, G: 2 ** 30, T: 2 ** 40 };

/** Less than this no system runs in; it would stand still rather than fail. Bytes. */
const leastMemory = 64 * 2 ** 20;

/** `2G` as bytes; NaN for a text that is no amount of memory. */
export const bytesOf = (text: string): number => {
  const [, count, unit = ''] = /^([1-9]\d{0,5})([MGT])$/.exec(text) ?? [];
  return Number(count) * (units[unit] ?? Number.NaN);
};

const resources = z
  .strictObject({
    cpu: weight('the processors'),
    memory: z
      .string()
      .regex(/^[1-9]\d{0,5}[MGT]$/, 'must be an amount of memory: a whole number and M, G or T, such as 2G')
      .refine((text) => !(bytesOf(text) < leastMemory), 'is too little for any system to run in: 64M or more')
      .optional()
      .describe(
        'An amount of memory, such as `512M` or `2G` (units of 1024; M, G or T). Beyond it, the kernel takes memory back from the seat (swaps it out, or drops it and reads it again), and slows the seat down until that has succeeded. It kills nothing. Without it, there is no limit.',
      ),
    io: weight('the disks'),
    pids: numeric(
      z
        .string()
        .regex(/^[1-9]\d{1,6}$/, 'must be a number of processes: 10 to 4194304')
        .refine((text) => !(Number(text) > 4_194_304), 'is more than Linux can have: 4194304 or less'),
      10,
      4_194_304,
    )
      .optional()
      .describe(
        'The greatest number of processes and threads. Without it, 15 % of the number that the kernel can have, less where there are more than six seats, and only if nothing else bounds them already.',
      ),
  })
  .describe('The shares of this seat in the processors, memory and disks of the PC.');

/** Nodes that a seat gets by their names alone. */
const extra = z
  .string()
  .refine(
    (name) => isJointName(name) || isPlainName(name),
    `must be ${[...jointNodes, 'nvidia0', 'nvidiactl', 'nvidia-modeset', 'nvidia-uvm', 'nvidia-uvm-tools'].join(', ')} or kfd`,
  )
  .meta({ pattern: `^(?:${[...jointNodes, ...plainNames.map(({ source }) => source.slice(1, -1))].join('|')})$` });

export const seatFile = z
  .strictObject({
    seat: seatName.describe("The seat's name; on the host it is logind's `seat-NAME`."),
    hosts: oneOrMore(pattern)
      .optional()
      .describe('Host names of the PCs that have this seat, by glob; every PC without it.'),
    container: container.describe('The container that is this seat.'),
    resources: resources.optional(),
    receive: receive
      .optional()
      .describe(
        'How event nodes and raw nodes come. `node` (without it): as nodes that programs in the seat open. `descriptor`: without any node; the display server asks for them at `/dev/input/seatd.sock`, as it would ask seatd, and they can be taken back at once. `both`: as nodes as well, for programs that do not ask there; taking back is then as with `node`. A joystick has other nodes too, which do not come with `descriptor`. Sound and whole graphics cards always come as nodes; outputs of a card (`connector`) are opened at the same socket, unless it is `node`.',
      ),
    extra: oneOrMore(extra)
      .optional()
      .describe(
        "Nodes that are no seat's alone: `snd/seq` and `snd/timer`, and nodes beside `/dev/dri` by which programs compute on a graphics card: `nvidia0` and so on, `nvidiactl`, `nvidia-modeset`, `nvidia-uvm`, `nvidia-uvm-tools`, `kfd`. Programs of several seats meet there. A sound server in a virtual machine is woken up by `snd/timer`.",
      ),
    devices: z.array(rule).describe('The devices of the seat. The first rule that matches a device counts.'),
  })
  .describe('A seat file, such as `left.yaml`: one seat, its container, and its devices.');

export const hostFile = z
  .strictObject({
    console: z
      .enum(['mute', 'open'])
      .optional()
      .describe(
        "`mute`: the host's text consoles hear no keyboard while there are seats; `open` is reported as a leak.",
      ),
  })
  .describe('`host.yaml`: settings of the host itself.');

export type SeatFile = z.infer<typeof seatFile>;
export type MatchFile = z.infer<typeof match>;
export type HostFile = z.infer<typeof hostFile>;

/** Keys of a match that are not udev properties, and those of them that `not` takes. */
export const negatableKeys: readonly string[] = Object.keys(plain);
export const matchKeys: readonly string[] = [...negatableKeys, 'connector', 'attr', 'not'];
