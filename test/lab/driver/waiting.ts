// The things that this process waits for, so that a hanging test can name them when it is ended.

interface Wait {
  readonly what: string;
  readonly since: number;
}

const waits = new Set<Wait>();
let running: string | undefined;

/** Who can tell more about a hang: the PCs that are on. */
const witnesses = new Set<() => Promise<string>>();

/** Waits for `work`; meanwhile this process counts as waiting for `what`. */
export async function waitingFor<T>(what: string, work: Promise<T>): Promise<T> {
  const wait: Wait = { what, since: Date.now() };
  waits.add(wait);
  try {
    return await work;
  } finally {
    waits.delete(wait);
  }
}

/** Says which test runs now. */
export function nowRunning(test: string | undefined): void {
  running = test;
}

/** `words`: the text to print when this process is ended at its limit. The result takes it back. */
export function witness(words: () => Promise<string>): () => void {
  witnesses.add(words);
  return () => {
    witnesses.delete(words);
  };
}

function waitsText(): string {
  const lines = [...waits].map(({ what, since }) => `  ${what}, for ${((Date.now() - since) / 1000).toFixed(0)} s`);
  return lines.length === 0 ? '  nothing that the driver knows of' : lines.join('\n');
}

let ending = false;

// The runner ends a file at its limit with SIGTERM and leaves it a minute for this. Not `once`: while somebody else
// listens, execa's clean-up at a signal leaves the end to him.
process.on('SIGTERM', () => {
  if (ending) return;
  ending = true;
  console.log(`\nended at its limit, in: ${running ?? 'no test'}\nwaiting for:\n${waitsText()}`);
  void Promise.all([...witnesses].map((words) => words()))
    .then((all) => console.log(all.join('\n')))
    .finally(() => process.exit(1));
});
