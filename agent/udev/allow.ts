/** What a container may know of a device; everything else of the host's database stays on the host. */
const allowed: readonly RegExp[] = [
  /^(DEVNAME|DEVPATH|SUBSYSTEM|DEVTYPE|MAJOR|MINOR|USEC_INITIALIZED|SEQNUM|MODALIAS|DRIVER)$/,
  /^ID_(INPUT|BUS|VENDOR|MODEL|SERIAL|PATH|USB|TYPE|REVISION|INTEGRATION|ID|INSTANCE)(_.*)?$/,
  /^ID_INPUT\.tags$/,
  /^(PRODUCT|NAME|PHYS|UNIQ|PROP|EV|KEY|REL|ABS|MSC|LED|SND|FF|SW)$/,
  /^(LIBINPUT|EVDEV|MOUSE|POINTINGSTICK|TOUCHPAD|KEYBOARD)_.*$/,
  /^(SOUND|ACP|PULSE|ALSA)_.*$/,
  /^(HOTPLUG|CONNECTOR|PROPERTY|LEASE)$/,
];

/** Tags that make sense inside, where everything is seat0. */
const allowedTags: ReadonlySet<string> = new Set(['seat', 'master-of-seat']);

/** Longest value that passes, characters; the kernel's own uevents end at 2048 bytes (UEVENT_BUFFER_SIZE). */
const longest = 1024;

// A device chooses some of these texts: whatever could end a line, start an escape or a second property stays out.
const hostile = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u;

/** The properties that pass into a container. A value with a control character is left out as a whole. */
export function allowedProperties(properties: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(properties).filter(
      ([key, value]) => allowed.some((pattern) => pattern.test(key)) && value.length <= longest && !hostile.test(value),
    ),
  );
}

export const allowTags = (tags: readonly string[]): string[] => tags.filter((tag) => allowedTags.has(tag)).sort();
