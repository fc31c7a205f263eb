/** Subsystems whose devices a policy judges (promise 12). */
export type Subsystem = 'input' | 'sound' | 'drm';

/**
 * Those whose character devices a seat can own: `hidraw` comes along with the inputs of its HID device, `plain` are nodes of
 * drivers of graphics cards that Hotseat does not follow in udev (agent/core/plain.ts).
 */
export type SeatSubsystem = Subsystem | 'hidraw' | 'plain';

/** Whether a node of `/dev/dri` is of the sort that draws and shows nothing (drivers/gpu/drm/drm_drv.c, DRM_MINOR_RENDER). */
export const isRenderNode = (name: string): boolean => name.startsWith('renderD');

/** Directory below `/dev` that a class of nodes lives in; `hidraw` and `plain` nodes lie in `/dev` itself. */
export type NodeClass = 'input' | 'snd' | 'dri' | 'hidraw' | 'plain';

/** Whether nodes of a class lie in `/dev` itself, where no directory can be grafted: each is shown by a mount of its own. */
export const liesAlone = (name: NodeClass): boolean => name === 'hidraw' || name === 'plain';

/** A character device number. Minors are taken from sysfs `dev`, never computed (evdev minors are 64+N for the first 32 only). */
export interface DeviceNumber {
  readonly major: number;
  readonly minor: number;
}

/** Nodes that belong to no card: a program that opens them meets the programs of other seats there (promise 12). */
export const jointNodes = ['snd/seq', 'snd/timer'] as const;

export const isJointName = (text: string): boolean => jointNodes.some((node) => node === text);

/** Whether a device is one of them; they are their own heads. */
export const isJoint = ({ subsystem, sysname }: Pick<Device, 'subsystem' | 'sysname'>): boolean =>
  subsystem === 'sound' && isJointName(`snd/${sysname}`);

/** One ancestor of a device, nearest first: what udev rules match with KERNELS, SUBSYSTEMS, DRIVERS and ATTRS. */
export interface Ancestor {
  readonly syspath: string;
  readonly sysname: string;
  readonly subsystem: string | undefined;
  readonly driver: string | undefined;
  readonly attributes: Readonly<Record<string, string>>;
  /** Attributes that it has and that could not be read yet; undefined when there are none. */
  readonly unread?: readonly string[] | undefined;
}

/**
 * One plugging of one device. A sound card that is plugged again at its port has the same syspath and the same numbers, but a
 * sysfs directory with another inode: kernfs does not use one twice (fs/kernfs/dir.c, kernfs_new_node).
 */
export interface Incarnation {
  readonly syspath: string;
  /** Inode of the sysfs directory; undefined when that is not known: then the syspath alone tells. */
  readonly incarnation?: string | undefined;
}

export const isSame = (a: Incarnation, b: Incarnation): boolean =>
  a.syspath === b.syspath &&
  (a.incarnation === undefined || b.incarnation === undefined || a.incarnation === b.incarnation);

/** One udev device, facts only. */
export interface Device {
  /** `/sys/devices/...`, the identity of a device while it exists. */
  readonly syspath: string;
  /** As in `Incarnation`. */
  readonly incarnation?: string | undefined;
  readonly subsystem: string;
  readonly sysname: string;
  readonly devtype: string | undefined;
  /** `/dev/input/event3`, absent for heads such as `input7`. */
  readonly node: string | undefined;
  readonly number: DeviceNumber | undefined;
  /** udev properties as in the database. Hostile: a USB device chooses some of them. */
  readonly properties: Readonly<Record<string, string>>;
  readonly tags: readonly string[];
  /** Symbolic links below /dev, absolute. */
  readonly links: readonly string[];
  readonly ancestors: readonly Ancestor[];
  /** Own sysfs attributes that rules may match (name, uniq, phys, id/vendor ...). */
  readonly attributes: Readonly<Record<string, string>>;
  /** As in `Ancestor`. */
  readonly unread?: readonly string[] | undefined;
}

/**
 * Devices of one physical function that travel together: an `inputN` with its event, mouse and js nodes,
 * a sound `cardN` with its control and PCM nodes, a DRM device with its card and render nodes.
 * The verdict belongs to the head; the nodes inherit it.
 */
export interface Unit {
  /** Syspath of the head: the identity of the unit. */
  readonly id: string;
  readonly subsystem: SeatSubsystem;
  readonly head: Device;
  /** Devices with a node, in announcement order (sound: control last). */
  readonly nodes: readonly Device[];
  /** Of a graphics card, the names of its connectors: `DP-1`, `HDMI-A-1`. They are no devices that udev places. */
  readonly connectors?: readonly string[] | undefined;
}

export const numberText = (n: DeviceNumber): string => `${n.major}:${n.minor}`;

/** Reads `13:69`, as sysfs' `dev` files and `numberText` write it; undefined for anything else. */
export function parseNumber(text: string): DeviceNumber | undefined {
  const [, major, minor] = /^(\d+):(\d+)\s*$/.exec(text) ?? [];
  return major === undefined || minor === undefined ? undefined : { major: Number(major), minor: Number(minor) };
}

/** The number in a `dev_t` as stat(2) gives it: major and minor are interleaved (makedev(3)). */
export const numberOf = (rdev: bigint): DeviceNumber => ({
  major: Number(((rdev >> 8n) & 0xfffn) | ((rdev >> 32n) & ~0xfffn)),
  minor: Number((rdev & 0xffn) | ((rdev >> 12n) & 0xffffff00n)),
});

/** Name of a device in the udev database: `c13:69` or `+input:input12` (sd_device_get_device_id). */
export const recordId = (device: Pick<Device, 'number' | 'subsystem' | 'sysname'>): string =>
  device.number === undefined ? `+${device.subsystem}:${device.sysname}` : numberId(device.number);

/** Of a device with a node. */
export const numberId = (number: DeviceNumber): string => `c${numberText(number)}`;

/** The kernel's majors of these nodes (Documentation/admin-guide/devices.txt): anything else is not one of them. */
export const majors: Readonly<Record<Subsystem, number>> = { input: 13, sound: 116, drm: 226 };

/** Attributes of a device and of its ancestors that policies may match: what `udevadm info -a` is used for. */
export const attributeNames: readonly string[] = [
  ...['name', 'phys', 'uniq', 'idVendor', 'idProduct', 'serial', 'manufacturer', 'product'],
  ...['bInterfaceNumber', 'bInterfaceClass', 'vendor', 'device', 'class'],
  ...['id/vendor', 'id/product', 'id/bustype', 'id', 'number'],
];

/**
 * Those whose reader can wait for somebody. Of a USB device, the kernel gives them out under the lock of the device
 * (drivers/usb/core/sysfs.c, usb_string_attr). Every user who may open its file in /dev/bus/usb can have the kernel keep that lock.
 */
export const slowAttributes: readonly string[] = ['serial', 'manufacturer', 'product'];

/** The attributes of a device, those of its ancestors, and what could not be read of each. */
export const holdersOf = (head: Device): readonly Pick<Ancestor, 'syspath' | 'attributes' | 'unread'>[] => [
  head,
  ...head.ancestors,
];

export const nodeClass = (subsystem: SeatSubsystem): NodeClass => {
  switch (subsystem) {
    case 'input':
    case 'hidraw':
    case 'plain':
      return subsystem;
    case 'sound':
      return 'snd';
    case 'drm':
      return 'dri';
  }
};
