import { controlMessage, sendMessage } from './message.js';

/**
 * Sends bytes over a connected unix socket, and a descriptor with the first of them (unix(7), SCM_RIGHTS). Never waits.
 * @throws SysError, with `EAGAIN` while the other end does not read
 */
export function sendDescriptor(socket: number, bytes: Buffer, descriptor: number): void {
  send(socket, bytes, controlMessage(1 /* SCM_RIGHTS */, number(descriptor)));
}

/**
 * Sends bytes over a connected unix socket, at once and in the order of the calls. Never waits.
 * @throws SysError, with `EAGAIN` while the other end does not read
 */
export const sendBytes = (socket: number, bytes: Buffer): void => send(socket, bytes);

function number(descriptor: number): Buffer {
  const data = Buffer.alloc(4);
  data.writeInt32LE(descriptor);
  return data;
}

function send(socket: number, bytes: Buffer, control?: Buffer): void {
  const flags = 0x40 | 0x4000; // MSG_DONTWAIT | MSG_NOSIGNAL
  const sent = sendMessage(socket, 'a message', bytes, control === undefined ? { flags } : { control, flags });
  if (sent !== bytes.length) throw new Error(`only ${sent} of ${bytes.length} bytes of a message went`);
}
