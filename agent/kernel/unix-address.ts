/** Longest name of a unix socket, bytes (unix(7), sun_path). */
const longest = 107;

/** `struct sockaddr_un` (unix(7)) of a name: a path, or `@` and an abstract name. */
export function unixAddress(name: string): Buffer {
  const path = Buffer.from(name);
  const abstract = name.startsWith('@');
  if ((!abstract && !name.startsWith('/')) || path.length > longest) {
    throw new Error(`${JSON.stringify(name)} is no unix socket: a path or @name of at most ${longest} bytes`);
  }
  const address = Buffer.alloc(2 + path.length + (abstract ? 0 : 1));
  address.writeUInt16LE(1, 0); // AF_UNIX
  path.copy(address, 2);
  if (abstract) address[2] = 0;
  return address;
}
