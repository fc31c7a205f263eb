/**
 * Ports as ID_PATH has them, which calls every USB bus of a controller `usb-0`. Names with the bus in them (`usbv2-0`, `usbv3-0`)
 * are those of ID_PATH_WITH_USB_REVISION (systemd, udev-builtin-path_id.c), which older udevs do not have.
 */
export const canonicalPort = (port: string): string => port.replace(/-usbv\d+-/, '-usb-');

/** Whether a port names the bus: of two sockets with one ID_PATH, the one of that bus. */
export const namesBus = (port: string): boolean => port !== canonicalPort(port);

/** The property that has the bus in it. */
export const pathWithBus = 'ID_PATH_WITH_USB_REVISION';

/**
 * The text that may follow a port: on USB another hub's port or an interface, and everywhere a further part of the
 * path, such as a platform device that a driver makes below a USB device (evdi).
 */
const boundaries = (port: string): string => (/-usb(v\d+)?-/.test(port) ? '.:-' : '-');

/**
 * The ID_PATH patterns of a port: the thing at the port itself, and all below a hub there. It ends at a boundary, so
 * that 2 is not 21. Both speeds of a socket have one ID_PATH where the controller gives its two buses the same port
 * numbers; where it does not, the SuperSpeed port has to be named as well. Two sockets that have one ID_PATH are told apart by
 * the bus.
 */
export function portPatterns(port: string): readonly string[] {
  return [port, `${port}[${boundaries(port)}]*`];
}

/**
 * Whether something with this ID_PATH is at a port or below it: what `portPatterns` say, without a pattern. A port that names
 * the bus is held against the path that has the bus in it, where there is one.
 */
export const portCovers = (written: string, path: string, withBus = ''): boolean =>
  namesBus(written) && withBus !== '' ? covers(written, withBus) : covers(canonicalPort(written), path);

const covers = (port: string, path: string): boolean =>
  path.startsWith(port) && (path.length === port.length || boundaries(port).includes(path.charAt(port.length)));

/** Every port that could cover this ID_PATH: the path itself, and the text before each of its boundaries. */
export function portsAbove(path: string): string[] {
  const found = [path];
  for (let index = 1; index < path.length; index++) {
    const char = path[index];
    if (char === '.' || char === ':' || char === '-') found.push(path.slice(0, index));
  }
  return found;
}
