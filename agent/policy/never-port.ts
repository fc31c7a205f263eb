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
  if (/^usb(v\d+)?-/.test(port)) {
    return {
      message: `${JSON.stringify(port)} names no controller, so that nothing is at it`,
      remedy: `write what hotseat devices shows, such as ${JSON.stringify(`pci-0000:00:14.0-${port}`)}`,
    };
  }
  const text = portInstead(port);
  return text === undefined ? undefined : { message: nothing, remedy: `write ${JSON.stringify(text)}` };
}

const shown = `write the port as hotseat devices shows it, such as ${JSON.stringify(example)}`;

/** A whole `ID_PATH`, if no device has it. What is plugged into USB is behind an interface, and has that in its path. */
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
    // The end of a link's name below /dev/input/by-path.
    .replace(/-(?:event(?:-(?:kbd|mouse|joystick|ir))?|mouse|joystick)$/, '')
    .replace(/[-.:]+$/, '');
  return written === port ? undefined : written;
}

const lowered = (port: string): string => port.replace(/(^|-)pci-[0-9a-fA-F:]+/, (address) => address.toLowerCase());

/** A pattern for the kernel's name of a head, if it can only be that of a node. */
export function neverSysname(pattern: string): Never | undefined {
  const found =
    /^(?:\/dev\/\w+\/)?(?:(event|mouse|js|mice)|renderD|[a-z]+C[\d*?[]|hidraw)/.exec(pattern) ??
    /^\/|^\d+-\d|:/.exec(pattern);
  if (found === null) return undefined;
  const [, input = pattern.includes('input') || undefined] = found;
  return {
    message: `sysname is that of a whole device, inputN or cardN, so that ${JSON.stringify(pattern)} never matches`,
    remedy: `write its name, such as sysname: ${input === undefined ? 'card1' : 'input7'}; its nodes come with it`,
  };
}
