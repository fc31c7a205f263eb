// The monitor of a screen, as far as its graphics card knows: QEMU's card reports the wish of a VNC client.

import { createConnection, type Socket } from 'node:net';

const rawEncoding = 0;
const extendedDesktopSize = -308;

/**
 * Tells a QEMU screen by its VNC socket which size its monitor has; none is no monitor. The RFB protocol (RFC 6143) with
 * the community's SetDesktopSize message.
 */
export async function setMonitor(path: string, size: { width: number; height: number } | undefined): Promise<void> {
  const socket = createConnection(path);
  try {
    const take = reader(socket);
    await take(12); // the server's version
    socket.write('RFB 003.008\n');
    const [kinds = 0] = await take(1);
    await take(kinds);
    socket.write(Buffer.of(1)); // no password
    await take(4);
    socket.write(Buffer.of(1)); // shared with others
    const greeting = await take(24);
    await take(greeting.readUInt32BE(20)); // the desktop's name
    const encodings = Buffer.alloc(12);
    encodings.writeUInt8(2, 0);
    encodings.writeUInt16BE(2, 2);
    encodings.writeInt32BE(rawEncoding, 4);
    encodings.writeInt32BE(extendedDesktopSize, 8);
    const { width, height } = size ?? { width: 0, height: 0 };
    const wish = Buffer.alloc(24);
    wish.writeUInt8(251, 0);
    wish.writeUInt16BE(width, 2);
    wish.writeUInt16BE(height, 4);
    wish.writeUInt8(1, 6);
    wish.writeUInt16BE(width, 16);
    wish.writeUInt16BE(height, 18);
    socket.write(Buffer.concat([encodings, wish]));
    // Nothing tells when the server has read it, and a server that sees the line cut forgets unread data.
    await new Promise((resolve) => setTimeout(resolve, 500));
  } finally {
    socket.destroy();
  }
}

/** Reads so many bytes, waiting for them at most 10 s. */
function reader(socket: Socket): (count: number) => Promise<Buffer> {
  let data = Buffer.alloc(0);
  let failure: Error | undefined;
  socket.on('data', (piece) => {
    data = Buffer.concat([data, piece]);
  });
  socket.on('error', (error) => {
    failure = error;
  });
  return async (count) => {
    const end = Date.now() + 10_000;
    while (data.length < count) {
      if (failure !== undefined) throw failure;
      if (Date.now() > end) throw new Error(`the VNC server sent ${data.length} of ${count} bytes in 10 s`);
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    const taken = data.subarray(0, count);
    data = data.subarray(count);
    return taken;
  };
}
