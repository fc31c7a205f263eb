import type { Never } from './never.js';

const example = 'pci-0000:00:14.0-usb-0:2';

/** A port, if nothing can be at it. */
export function neverPort(port: string): Never | undefined {
  if (!/^[a-z]+-[A-Za-z0-9:._-]+$/.test(port)) return undefined;
  const nothing = `nothing is at ${JSON.stringify(port)}`;
  if (/^pci-[0-9a-fA-F]{4}_/.test(port))
    return { message: `${nothing}, which has the form of ID_PATH_TAG`, remedy: shown };
  if (/(?:^|-)pci-[0-9a-fA-F]+:[0-9a-fA-F]{2}:[0-9a-fA-F]{2}$/.test(port)) {
    const text = lowered(port);
    return {
      message: `${JSON.stringify(port)} is a slot without the function, so that nothing is at it`,
      remedy: `write ${JSON.stringify(`${text}.0`)}, or a list with each function that you mean: ["${text}.0", "${text}.1"]`,
    };
  }
  const phys = physPort(port);
  if (phys !== undefined) return { message: nothing, remedy: `write ${JSON.stringify(phys)}` };
  if (/^usb(v\d+)?-/.test(port)) {
    return {
      message: `${JSON.stringify(port)} names no controller, so that nothing is at it`,
      remedy: `write what hotseat devices shows, such as ${JSON.stringify(`pci-0000:00:14.0-${port}`)}`,
    };
  }
  const text = portInstead(port);
  return text === undefined ? undefined : { message: nothing, remedy: `write ${JSON.stringify(text)}` };
}

/**
 * The kernel's text in `phys` (usb_make_path): the controller's name and the ports, without the word for the bus above.
 */
function physPort(port: string): string | undefined {
  const [, controller, ports] = /^usb-((?:[0-9a-f]{4}:)?[0-9a-f]{2}:[0-9a-f]{2}\.\d)-([\d.]+)$/i.exec(port) ?? [];
  return controller === undefined ? undefined : portInstead(`pci-${controller}-usb-${ports}`);
}

const shown = `write the port as hotseat devices shows it, such as ${JSON.stringify(example)}`;

/** A whole `ID_PATH`, if no device has it. A device on USB is behind an interface, and has that in its path. */
export function neverPath(path: string): Never | undefined {
  const message = `no device has the ID_PATH ${JSON.stringify(path)}`;
  if (/^\d/.test(path) || path.startsWith('/')) {
    return {
      message,
      remedy: `write port: and the port that hotseat devices shows, such as ${JSON.stringify(example)}`,
    };
  }
  const never = neverPort(path);
  if (never !== undefined) return { message, remedy: never.remedy };
  if (!/-usb(v\d+)?-0:[\d.]+$/.test(path)) return undefined;
  return { message: `${message}: it is a port`, remedy: `write port: ${JSON.stringify(path)}` };
}

/** How udev writes the path of a port (systemd, udev-builtin-path_id.c), undefined where it is written so. */
function portInstead(port: string): string | undefined {
  const written = lowered(port)
    // As `lspci` has it, without the domain.
    .replace(/(^|-)pci-([0-9a-f]{2}:[0-9a-f]{2}\.\d)/, '$1pci-0000:$2')
    // Every bus of a controller is 0.
    .replace(/-usb(v\d+)?-(?!0(?::|$))(?:\d+[:-])?(\d+(?:\.\d+)*)/, '-usb$1-0:$2')
    // A hub's ports are parted by dots.
    .replace(/(-usb(?:v\d+)?-0:[\d.]+)-(\d+(?:\.\d+)*)$/, '$1.$2')
    // The end of a link's name below /dev/input/by-path.
    .replace(/-(?:event(?:-(?:kbd|mouse|joystick|ir))?|mouse|joystick)$/, '')
    .replace(/[-.:]+$/, '');
  return written === port ? undefined : written;
}

const lowered = (port: string): string => port.replace(/(^|-)pci-[0-9a-fA-F:]+/, (address) => address.toLowerCase());

/** A pattern for a connector, if none is called so (drm_connector.c, drm_connector_init: the kind, a hyphen, and a number from 1). */
export function neverConnector(pattern: string): Never | undefined {
  const written = pattern
    .replace(/^card[^-]*-/, '')
    // As display servers call them.
    .replace(/^HDMI-?(?=\d)/, 'HDMI-A-')
    .replace(/^([A-Za-z]+)(?=\d)/, '$1-');
  if (/-0$/.test(written)) {
    const message = `connectors are numbered from 1, so that ${JSON.stringify(pattern)} never matches`;
    return { message, remedy: 'write its name as hotseat devices shows it, such as DP-1' };
  }
  if (written === pattern) return undefined;
  const message = `no connector is called ${JSON.stringify(pattern)}`;
  return { message, remedy: `write ${JSON.stringify(written)}, as hotseat devices shows it` };
}

/** A pattern for the kernel's name of a head, if it can only be that of a node or of a part. */
export function neverSysname(pattern: string): Never | undefined {
  const [, card] = /^(card[^-]*)-[A-Za-z]/.exec(pattern) ?? [];
  if (card !== undefined) {
    const message = `sysname is that of a whole card, so that ${JSON.stringify(pattern)} never matches`;
    return { message, remedy: `write sysname: ${card}, and connector: for one of its outputs` };
  }
  const found =
    /^(?:\/dev\/\w+\/)?(?:(event|mouse|js|mice)|renderD|[a-z]+C[\d*?[]|hidraw)/.exec(pattern) ??
    /^\/|^\d+-\d|:/.exec(pattern);
  if (found === null) return undefined;
  if (pattern.includes('renderD')) {
    const message = `a render node is a part of its card, so that ${JSON.stringify(pattern)} never matches`;
    return {
      message,
      remedy: 'write sysname: card1, or kind: display and its port: no seat can have the render node alone',
    };
  }
  const [, input = pattern.includes('input') || undefined] = found;
  return {
    message: `sysname is that of a whole device, inputN or cardN, so that ${JSON.stringify(pattern)} never matches`,
    remedy: `write its name, such as sysname: ${input === undefined ? 'card1' : 'input7'}; its nodes come with it`,
  };
}
