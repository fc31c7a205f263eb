/** Properties of a device that a container may know. All others of the host's database stay on the host. */
const allowed: readonly RegExp[] = [
  /^(DEVNAME|DEVPATH|SUBSYSTEM|DEVTYPE|MAJOR|MINOR|USEC_INITIALIZED|SEQNUM|MODALIAS|DRIVER)$/,
  /^ID_(INPUT|BUS|VENDOR|MODEL|SERIAL|PATH|USB|TYPE|REVISION|INTEGRATION|ID|INSTANCE)(_[A-Za-z0-9_]*)?$/,
  /^ID_INPUT\.tags$/,
  /^(PRODUCT|NAME|PHYS|UNIQ|PROP|EV|KEY|REL|ABS|MSC|LED|SND|FF|SW)$/,
  // The hardware database about the device itself: a layout that is built in, how a sensor is mounted, which screen and
  // seat of a compositor it is for (libinput).
  /^(XKB_FIXED_(LAYOUT|VARIANT|MODEL)|ACCEL_(MOUNT_MATRIX|LOCATION)|PROXIMITY_NEAR_LEVEL|WL_(OUTPUT|SEAT))$/,
  /^(LIBINPUT|EVDEV|MOUSE|POINTINGSTICK|TOUCHPAD|KEYBOARD)_[A-Za-z0-9_]*$/,
  /^(SOUND|ACP|PULSE|ALSA)_[A-Za-z0-9_.]*$/,
];

/** Tags that make sense inside, where everything is seat0. */
const allowedTags: ReadonlySet<string> = new Set(['seat', 'master-of-seat']);

/** Longest value that passes, characters; the kernel's own uevents end at 2048 bytes (UEVENT_BUFFER_SIZE). */
const longest = 1024;

/** All of it together, bytes: with header, tags and sequence number it stays below the 8 KiB of older listeners. */
const budget = 7168;

/** Without these a message or a record means nothing, so they are never left out. */
const needed: ReadonlySet<string> = new Set([
  'DEVPATH',
  'SUBSYSTEM',
  'DEVNAME',
  'DEVTYPE',
  'MAJOR',
  'MINOR',
  'ID_INPUT',
]);

// A device chooses some of these texts: no character that could end a line, or start an escape or a second property,
// gets through. Nor does a text that is no UTF-8 to systemd (utf8_is_valid, unichar_is_valid): libudev would drop the
// whole message for it.
const hostile = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}\p{NChar}]/u;

/** The properties that pass into a container. A value with a control character is left out as a whole. */
export function allowedProperties(properties: Readonly<Record<string, string>>): Record<string, string> {
  const passed = Object.entries(properties).filter(
    ([key, value]) => allowed.some((pattern) => pattern.test(key)) && value.length <= longest && !hostile.test(value),
  );
  return Object.fromEntries(withinBudget(passed));
}

/**
 * One device with too much to say must not hold up its seat: the longest properties are left out until the rest fits.
 */
function withinBudget(entries: [string, string][]): [string, string][] {
  let size = entries.reduce((sum, entry) => sum + bytes(entry), 0);
  if (size <= budget) return entries;
  const dropped = new Set<string>();
  for (const entry of entries.filter(([key]) => !needed.has(key)).sort((a, b) => bytes(b) - bytes(a))) {
    if (size <= budget) break;
    size -= bytes(entry);
    dropped.add(entry[0]);
  }
  return entries.filter(([key]) => !dropped.has(key));
}

const bytes = ([key, value]: [string, string]): number => Buffer.byteLength(key) + Buffer.byteLength(value) + 2;

/** Properties of one event that no device keeps: the changed connector of a graphics card (drm_sysfs.c). */
const passing = ['HOTPLUG', 'CONNECTOR', 'PROPERTY', 'LEASE'];

/** The part of an event that is news of the moment, for the seat of the device. It is empty for nearly every event. */
export const newsOf = (properties: Readonly<Record<string, string>>): Record<string, string> =>
  Object.fromEntries(
    passing.flatMap((key) => {
      const value = properties[key];
      return value !== undefined && /^\d{1,10}$/.test(value) ? [[key, value]] : [];
    }),
  );

export const allowTags = (tags: readonly string[]): string[] => tags.filter((tag) => allowedTags.has(tag)).sort();
