/**
 * Ports as people and rules write them. ID_PATH calls every USB bus of a controller `usb-0`; the names with the bus in
 * them (`usbv2-0`, `usbv3-0`, from ID_PATH_WITH_USB_REVISION) mean the same here (systemd, udev-builtin-path_id.c).
 */
export const canonicalPort = (port: string): string => port.replace(/-usbv\d+-/, '-usb-');

/** What may follow a port: another hub's port or an interface on USB, a further part of the path on anything else. */
const boundaries = (port: string): readonly string[] => (port.includes('-usb-') ? ['.', ':'] : ['-']);

/**
 * The ID_PATH patterns of a port: the thing at the port itself, and all below a hub there. It ends at a boundary, so
 * that 2 is not 21. Both speeds of a socket have one ID_PATH where the controller gives its two buses the same port
 * numbers; where it does not, the SuperSpeed port has to be named as well.
 */
export function portPatterns(written: string): readonly string[] {
  const port = canonicalPort(written);
  return [port, ...boundaries(port).map((boundary) => `${port}${boundary}*`)];
}

/** Whether something with this ID_PATH is at a port or below it: what `portPatterns` say, without a pattern. */
export function portCovers(written: string, path: string): boolean {
  const port = canonicalPort(written);
  return path.startsWith(port) && (path.length === port.length || boundaries(port).includes(path[port.length] ?? ''));
}

/** Every port that could cover this ID_PATH: the path itself and what stands before each of its boundaries. */
export function portsAbove(path: string): string[] {
  const found = [path];
  for (let index = 1; index < path.length; index++) {
    const char = path[index];
    if (char === '.' || char === ':' || char === '-') found.push(path.slice(0, index));
  }
  return found;
}
