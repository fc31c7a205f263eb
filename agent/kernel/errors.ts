import koffi from 'koffi';

const names = new Map<number, string>(Object.entries(koffi.os.errno).map(([name, value]) => [value as number, name]));

/** A system call that failed: `code` is errno's name (`ENOENT`), `what` says what it was about. */
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

export const isSysError = (error: unknown, ...codes: string[]): error is SysError =>
  error instanceof SysError && codes.includes(error.code);
