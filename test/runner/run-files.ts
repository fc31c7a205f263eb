// Runs test files beside each other, within the time that all of them have together.

import { type Outcome, outcomeText, runFile, type TestFile } from './file.js';

export interface Budget {
  /** When everything must have ended, ms since the epoch. */
  readonly end: number;
}

/**
 * Runs `files` in their order, `atOnce` at a time. The output of each is printed whole. A file for which no time is
 * left has failed: a run that goes on for ever is red for nobody.
 */
export async function runFiles(
  files: readonly TestFile[],
  atOnce: number,
  budget: Budget,
  print: (text: string) => void,
): Promise<Outcome[]> {
  const rest = [...files];
  const outcomes: Outcome[] = [];
  const work = async (): Promise<void> => {
    for (let file = rest.shift(); file !== undefined; file = rest.shift()) {
      const outcome = await within(file, budget);
      print(outcomeText(outcome));
      outcomes.push(outcome);
    }
  };
  await Promise.all(Array.from({ length: atOnce }, work));
  return outcomes;
}

/**
 * Runs failed files once more, alone, so that a failure by chance is told apart from a lasting one. It stays a failure:
 * the cause is in the program or in the test, and somebody has to find it.
 */
export async function runAgain(
  outcomes: readonly Outcome[],
  budget: Budget,
  print: (text: string) => void,
): Promise<string[]> {
  const flaky: string[] = [];
  for (const { file, wrong } of outcomes) {
    if (wrong === undefined || Date.now() + file.limitMs > budget.end) continue;
    const { name } = file;
    print(`\n── ${name} failed; once more, to see whether by chance`);
    const again = await runFile(file);
    if (again.wrong === undefined) {
      flaky.push(name);
      print(`FLAKY ${name}: ${wrong} at first, and nothing the second time`);
    } else print(outcomeText(again));
  }
  return flaky;
}

async function within(file: TestFile, budget: Budget): Promise<Outcome> {
  const left = budget.end - Date.now();
  if (left > 0) return runFile({ ...file, limitMs: Math.min(file.limitMs, left) });
  const wrong = 'not run: the time for the whole run was over';
  return { file, passed: 0, failed: 1, skipped: 0, seconds: 0, wrong, output: '' };
}
