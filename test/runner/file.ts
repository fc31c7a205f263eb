// Runs one test file in a process of its own and counts what became of its tests.

import { execa } from 'execa';
import { labEnvironment } from './layers.js';

export interface TestFile {
  /** `layer/file`, as people name it. */
  readonly name: string;
  readonly path: string;
  /** It is ended when it takes longer, ms. */
  readonly limitMs: number;
  /** It takes the processors when nothing else wants them. */
  readonly isPatient?: boolean;
}

export interface Outcome {
  readonly file: TestFile;
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
  readonly seconds: number;
  /** Why it failed as a whole; undefined when all is well. */
  readonly wrong: string | undefined;
  /** Everything that it printed, both streams as they came. */
  readonly output: string;
}

/** Time of a file for its last words when it has been told to end, ms: a test of the lab asks its PC for them. */
const lastWordsMs = 60_000;

/**
 * uvu alone can be green by accident: a throwing `before`, a forgotten `.run()` and a test that hangs all pass or never
 * end. So a file fails unless it closes with a summary in which at least one test ran and every one that ran passed.
 */
export async function runFile(file: TestFile, graceMs = lastWordsMs): Promise<Outcome> {
  const started = Date.now();
  const node = ['node', '--enable-source-maps', file.path];
  const [command = '', ...args] = file.isPatient === true ? ['nice', '-n', '19', ...node] : node;
  const result = await execa(command, args, {
    timeout: file.limitMs,
    killSignal: 'SIGTERM',
    forceKillAfterDelay: graceMs,
    reject: false,
    stdin: 'ignore',
    all: true,
    env: { FORCE_COLOR: '0', ...labEnvironment },
  });
  const total = lastNumber(result.stdout, /^\s*Total:\s+(\d+)/gm);
  const passed = lastNumber(result.stdout, /^\s*Passed:\s+(\d+)/gm);
  const failed = Math.max(total - passed, 0);
  const wrong = reason(file, result.timedOut, result.exitCode, total, failed);
  return {
    file,
    passed,
    failed: wrong !== undefined && failed === 0 ? 1 : failed,
    skipped: lastNumber(result.stdout, /^\s*Skipped:\s+(\d+)/gm),
    seconds: (Date.now() - started) / 1000,
    wrong,
    output: result.all,
  };
}

/** The output of a file, in one piece. */
export function outcomeText({ file: { name }, wrong, seconds, output }: Outcome): string {
  const verdict = wrong === undefined ? `ok   ${name}` : `FAIL ${name}: ${wrong}`;
  return `\n── ${name}\n${output.trimEnd()}\n${verdict} (${seconds.toFixed(1)} s)`;
}

function reason(
  file: TestFile,
  timedOut: boolean,
  exitCode: number | undefined,
  total: number,
  failed: number,
): string | undefined {
  if (timedOut) return `did not end within ${Math.round(file.limitMs / 1000)} s`;
  if (failed > 0) return `${failed} of ${total} did not pass`;
  if (exitCode !== 0) return `ended with status ${exitCode ?? 'none (killed)'}`;
  return total === 0 ? 'no test ran: is .run() missing?' : undefined;
}

/** The last match counts: a test may print another program's summary before its own. */
function lastNumber(text: string, pattern: RegExp): number {
  return Number([...text.matchAll(pattern)].at(-1)?.[1] ?? 0);
}
