import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';

/**
 * Python, with a directory as its argument. It mounts a file system there that answers nothing any more after `hush`,
 * but takes every question (fuse(4)): a process that has asked it waits for ever, also against SIGKILL. Before that it
 * is a directory with a file `page`, which opens and cannot be read. It says when it is `up`, and `hushed` after a line
 * of input.
 */
export const silentFuseProgram = `
import ctypes, os, struct, sys, threading
libc = ctypes.CDLL(None, use_errno=True)
fd = os.open('/dev/fuse', os.O_RDWR)
options = b'fd=%d,rootmode=40000,user_id=0,group_id=0,allow_other' % fd
assert libc.mount(b'silent', sys.argv[1].encode(), b'fuse', 0, options) == 0, ctypes.get_errno()
silent = False
def attributes(inode):
    mode, size = (0o40755, 0) if inode == 1 else (0o100644, 4096)
    return struct.pack('<QQQQQQIIIIIIIIII', inode, size, 0, 0, 0, 0, 0, 0, 0, mode, 1, 0, 0, 0, 4096, 0)[:88]
def serve():
    while True:
        request = os.read(fd, 1 << 17)
        length, op, unique, inode = struct.unpack('<IIQQ', request[:24])
        error, body = 0, b''
        if op == 26: # FUSE_INIT
            body = struct.pack('<IIIIHHIIHHI', 7, 31, 65536, 0, 12, 12, 65536, 1, 16, 0, 0).ljust(64, b'\\0')
        elif silent or op == 15: # FUSE_READ
            continue
        elif op == 3: # FUSE_GETATTR
            body = struct.pack('<QII', 0, 0, 0) + attributes(inode)
        elif op == 1 and request[40:-1] == b'page': # FUSE_LOOKUP
            body = struct.pack('<QQQQII', 2, 0, 0, 0, 0, 0) + attributes(2)
        elif op == 14: # FUSE_OPEN
            body = struct.pack('<QII', 1, 0, 0)
        elif op in (2, 42): # FUSE_FORGET
            continue
        else:
            error = -38 if op not in (1,) else -2
        os.write(fd, struct.pack('<IiQ', 16 + len(body), error, unique) + body)
threading.Thread(target=serve, daemon=True).start()
print('up', flush=True)
for line in sys.stdin:
    silent = True
    print('hushed', flush=True)
`;

export interface SilentFuse {
  /** From now on nothing is answered. */
  hush(): Promise<void>;
  /** Ends it: waiting processes get an error. */
  end(): void;
}

/** Mounts it on a directory. */
export async function silentFuse(directory: string): Promise<SilentFuse> {
  const child = spawn('/usr/bin/python3', ['-c', silentFuseProgram, directory], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const lines = createInterface({ input: child.stdout });
  const said = () => new Promise((resolve) => lines.once('line', resolve));
  await said();
  return {
    hush: async () => {
      const hushed = said();
      child.stdin.write('hush\n');
      await hushed;
    },
    end: () => void child.kill('SIGKILL'),
  };
}
