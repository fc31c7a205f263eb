import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { outcomeText, runFile, type TestFile } from '../runner/file.js';
import { timesText } from '../runner/report.js';
import { runAgain, runFiles } from '../runner/run-files.js';

const directory = mkdtempSync(join(tmpdir(), 'hotseat-runner-'));
const summary = (total: number, passed: number) =>
  `console.log('  Total:     ${total}\\n  Passed:    ${passed}\\n  Skipped:   0');`;

function file(name: string, text: string, limitMs = 20_000): TestFile {
  const path = join(directory, `${name}.test.js`);
  writeFileSync(path, text);
  return { name: `unit/${name}`, path, limitMs };
}

/** Long enough for a busy machine to have started Node. */
const hangMs = 5000;
const green = file('green', `console.log('out'); console.error('err'); ${summary(2, 2)}`);
const budget = { end: Date.now() + 60_000 };
const silent = (): undefined => undefined;

test('a file whose tests all pass is counted, and what it printed is one piece', async () => {
  const outcome = await runFile(green);
  assert.equal([outcome.passed, outcome.failed, outcome.wrong], [2, 0, undefined]);
  const text = outcomeText(outcome);
  assert.match(text, /^\n── unit\/green\n[\s\S]*\nok {3}unit\/green \(\d+\.\d s\)$/);
  for (const line of ['out', 'err', '  Total:     2']) assert.ok(text.split('\n').includes(line), line);
});

for (const [name, text, wrong] of [
  ['one of two fails', summary(2, 1), '1 of 2 did not pass'],
  ['no test ran', "console.log('nothing');", 'no test ran: is .run() missing?'],
  ['green, but its exit status is not', `${summary(1, 1)} process.exitCode = 3;`, 'ended with status 3'],
] as const) {
  test(`${name}: it has failed`, async () => {
    const outcome = await runFile(file(name.replaceAll(/\W+/g, '-'), text));
    assert.is(outcome.wrong, wrong);
    assert.is(outcome.failed, 1);
  });
}

test('a file that hangs is ended at its limit, with its last words; one that does not listen is killed', async () => {
  const words = "process.on('SIGTERM', () => { console.log('last words'); process.exit(1); });";
  const forever = 'setInterval(() => {}, 1000);';
  const [polite, deaf] = await Promise.all([
    runFile(file('polite', `${words} ${forever}`, hangMs)),
    runFile(file('deaf', `process.on('SIGTERM', () => {}); ${forever}`, hangMs), 500),
  ]);
  assert.is(polite.wrong, 'did not end within 5 s');
  assert.match(polite.output, /last words/);
  assert.is(deaf.wrong, 'did not end within 5 s');
  assert.is(deaf.failed, 1);
});

test('files run beside each other, and a hang holds up none of the others', async () => {
  const hang = file('hang', 'setInterval(() => {}, 1000);', hangMs);
  const printed: string[] = [];
  const outcomes = await runFiles([hang, green, green, green], 2, budget, (text) => printed.push(text));
  assert.equal(
    outcomes.map(({ wrong }) => wrong),
    [undefined, undefined, undefined, 'did not end within 5 s'],
  );
  assert.is(printed.length, 4);
});

test('what no time is left for has failed', async () => {
  const [outcome] = await runFiles([green], 1, { end: Date.now() }, silent);
  assert.is(outcome?.failed, 1);
  assert.match(outcome?.wrong ?? '', /the time for the whole run was over/);
});

test('what failed and then passes is flaky, and stays a failure', async () => {
  const once = join(directory, 'ran-before');
  const text = `import { existsSync, writeFileSync } from 'node:fs';
    const again = existsSync('${once}'); writeFileSync('${once}', '');
    if (again) { ${summary(1, 1)} } else { ${summary(1, 0)} }`;
  const path = join(directory, 'flaky.test.mjs');
  writeFileSync(path, text);
  const broken = file('broken', summary(1, 0));
  const outcomes = await runFiles([green, { name: 'unit/flaky', path, limitMs: 20_000 }, broken], 1, budget, silent);
  const printed: string[] = [];
  assert.equal(await runAgain(outcomes, budget, (line) => printed.push(line)), ['unit/flaky']);
  assert.match(printed.join('\n'), /^FLAKY unit\/flaky: 1 of 1 did not pass at first, and nothing the second time$/m);
  assert.is(
    outcomes.reduce((sum, { failed }) => sum + failed, 0),
    2,
  );
});

test('the report has the layers and the ten slowest files', async () => {
  const outcome = await runFile(green);
  const all = Array.from({ length: 12 }, (_, n) => ({ ...outcome, file: { ...green, name: `unit/${n}` }, seconds: n }));
  const lines = timesText([{ name: 'unit', atOnce: 2, took: 61.2 }], all)
    .trim()
    .split('\n');
  assert.equal(lines.slice(0, 3), ['Time', '    61 s  unit, 2 at a time', 'The 10 slowest files']);
  assert.is(lines[3], '  11.0 s  unit/11');
  assert.is(lines.length, 13);
});

test.after(() => rmSync(directory, { recursive: true, force: true }));
test.run();
