export const start = (): Promise<unknown> => import('../../udev/udev-child.js');

/** It listens to udevd as soon as it is loaded: what it has of its own is short. */
export async function warm(): Promise<void> {
  await import('../../udev/messages.js');
  await import('../../kernel/udev-monitor.js');
}
