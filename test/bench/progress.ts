// The messages while a bench runs: on stderr, so that the table can be piped.

export type Say = (text: string) => void;

/** One line that is written over where somebody looks at a terminal, and a line each elsewhere. */
export function progress(quiet: boolean): { readonly say: Say; readonly end: () => void } {
  if (quiet) return { say: () => undefined, end: () => undefined };
  const began = Date.now();
  const { isTTY } = process.stderr;
  return {
    say: (text) => {
      const line = `${((Date.now() - began) / 1000).toFixed(0).padStart(4)} s  ${text}`;
      process.stderr.write(isTTY ? `\r\x1b[K${line}` : `${line}\n`);
    },
    end: () => void (isTTY && process.stderr.write('\r\x1b[K')),
  };
}
