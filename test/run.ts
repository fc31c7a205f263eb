import { readdirSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { execa } from 'execa';

/**
 * Runs every test file in a process of its own and counts. uvu alone can be green by accident (a throwing `before`,
 * a forgotten `.run()` and a hanging test all pass or never end), so a file fails here unless it closes with a summary
 * in which at least one test ran and every one that ran passed.
 *
 * Usage: run.js [unit] [namespace] [lab] [part of a file's name ...]
 */
const layers = { unit: 60_000, namespace: 120_000, lab: 1_500_000 } as const;
/** What shares nothing with others runs beside them; the rest has the machine for itself. */
const atOnce = { unit: availableParallelism(), namespace: 1, lab: 1 } as const;
type Layer = keyof typeof layers;

interface Outcome {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
}

const here = fileURLToPath(new URL('.', import.meta.url));
const isLayer = (word: string): word is Layer => word in layers;
const words = process.argv.slice(2);
const wanted = words.filter(isLayer);
const names = words.filter((word) => !isLayer(word));

function filesOf(layer: Layer): string[] {
  return readdirSync(join(here, layer))
    .filter((name) => name.endsWith('.test.js') && (names.length === 0 || names.some((part) => name.includes(part))))
    .sort()
    .map((name) => join(here, layer, name));
}

async function runFile(file: string, layer: Layer): Promise<Outcome> {
  const started = Date.now();
  const title = `\n── ${layer}/${basename(file, '.js')}`;
  const alone = atOnce[layer] === 1;
  if (alone) console.log(title);
  const result = await execa('node', ['--enable-source-maps', file], {
    timeout: layers[layer],
    killSignal: 'SIGTERM',
    forceKillAfterDelay: 10_000,
    reject: false,
    stdin: 'ignore',
    all: true,
    stdout: alone ? ['inherit', 'pipe'] : 'pipe',
    stderr: alone ? ['inherit', 'pipe'] : 'pipe',
    env: { FORCE_COLOR: '0' },
  });
  const total = numberAfter(result.stdout, /^\s*Total:\s+(\d+)/m);
  const passed = numberAfter(result.stdout, /^\s*Passed:\s+(\d+)/m);
  const skipped = numberAfter(result.stdout, /^\s*Skipped:\s+(\d+)/m);
  const seconds = ((Date.now() - started) / 1000).toFixed(1);
  const failed = Math.max(total - passed, 0);
  const wrong = reason(result.timedOut, result.exitCode, total, failed);
  if (!alone) console.log(`${title}\n${result.all}`);
  console.log(
    `${wrong === undefined ? 'ok  ' : 'FAIL'} ${basename(file)} ${seconds} s${wrong === undefined ? '' : `: ${wrong}`}`,
  );
  return { passed, failed: wrong !== undefined && failed === 0 ? 1 : failed, skipped };
}

function reason(timedOut: boolean, exitCode: number | undefined, total: number, failed: number): string | undefined {
  if (timedOut) return 'did not end in time';
  if (failed > 0) return `${failed} of ${total} did not pass`;
  if (exitCode !== 0) return `ended with status ${exitCode ?? 'none (killed)'}`;
  return total === 0 ? 'no test ran: is .run() missing?' : undefined;
}

/** The last match counts: a test may print another program's summary before its own. */
function numberAfter(text: string, pattern: RegExp): number {
  return Number([...text.matchAll(new RegExp(pattern.source, 'gm'))].at(-1)?.[1] ?? 0);
}

const sum = { passed: 0, failed: 0, skipped: 0 };
let files = 0;
for (const layer of wanted.length > 0 ? wanted : (Object.keys(layers) as Layer[])) {
  const rest = filesOf(layer);
  files += rest.length;
  const runRest = async (): Promise<void> => {
    for (let file = rest.shift(); file !== undefined; file = rest.shift()) {
      const outcome = await runFile(file, layer);
      sum.passed += outcome.passed;
      sum.failed += outcome.failed;
      sum.skipped += outcome.skipped;
    }
  };
  await Promise.all(Array.from({ length: atOnce[layer] }, runRest));
}
if (files === 0) {
  console.error('no test file matches');
  sum.failed += 1;
}
const skipped = sum.skipped > 0 ? `, ${sum.skipped} skipped` : '';
console.log(`\n${sum.passed} passed, ${sum.failed} failed${skipped}`);
process.exitCode = sum.failed > 0 ? 1 : 0;
