import { execa } from 'execa';

/**
 * Tells systemd that the service is up (sd_notify(3)); nothing happens when systemd did not start us.
 * Node has no datagram sockets in the unix domain, so systemd's own tool sends it, as our pid (systemd-notify(1)).
 */
export async function notifyReady(): Promise<void> {
  if (process.env['NOTIFY_SOCKET'] === undefined) return;
  await execa('systemd-notify', ['--ready', `--pid=${process.pid}`], { timeout: 10_000 });
}
