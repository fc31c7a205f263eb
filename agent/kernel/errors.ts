import koffi from 'koffi';

/** Three errors have two names each. The first name counts, which manual pages use (EAGAIN, not EWOULDBLOCK). */
const names = new Map<number, string>(
  Object.entries(koffi.os.errno)
    .reverse()
    .map(([name, value]) => [value as number, name]),
);

/** A system call that failed: `code` is errno's name (`ENOENT`), `what` is the thing that it was about. */
export class SysError extends Error {
  readonly code: string;

  constructor(
    readonly syscall: string,
    readonly errno: number,
    readonly what: string,
  ) {
    const code = names.get(errno) ?? `errno ${errno}`;
    super(`${syscall} ${what}: ${code}`);
    this.name = 'SysError';
    this.code = code;
  }
}

/** A SysError with one of these codes. */
export const isSysError = (error: unknown, ...codes: string[]): error is SysError =>
  error instanceof SysError && codes.includes(error.code);
