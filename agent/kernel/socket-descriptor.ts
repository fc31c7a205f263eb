import type { Socket } from 'node:net';

/** Node has no other way to a socket's descriptor than its handle (lib/net.js). */
export function descriptorOf(socket: Socket): number {
  const { _handle: handle } = socket as Socket & { readonly _handle?: { readonly fd?: number } | null };
  if (handle?.fd === undefined || handle.fd < 0) throw new Error('the connection has no descriptor any more');
  return handle.fd;
}
