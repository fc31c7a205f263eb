import { ControlError, codeOf } from '../core/refusal.js';
import { allHelp, codesHelp, verbHelp } from './help.js';
import { parse } from './parse.js';
import { asciiJson } from './printable.js';
import type { ExitCode, Verb } from './verb.js';
import { verbs } from './verbs.js';
import { version } from './version.js';

const verbOf = (name: string): Verb | undefined => (Object.hasOwn(verbs, name) ? verbs[name] : undefined);

async function answered(argv: readonly string[]): Promise<ExitCode> {
  const [name, ...rest] = argv;
  if (name === undefined || name === 'help' || name === '--help' || name === '-h') {
    if (rest[0] === 'codes') {
      console.log(codesHelp());
      return 0;
    }
    const about = verbOf(rest[0] ?? '');
    console.log(about === undefined ? allHelp(verbs) : verbHelp(about));
    return name === undefined ? 2 : 0;
  }
  if (name === '--version' || name === '-V') {
    console.log(`hotseat ${version()}`);
    return 0;
  }
  const verb = verbOf(name);
  if (verb === undefined) {
    console.error(`hotseat: there is no verb ${JSON.stringify(name)}\n\n${allHelp(verbs)}`);
    return 2;
  }
  const call = parse(verb, rest);
  if (typeof call === 'string') {
    console.error(`hotseat ${name}: ${call}\n\n${verbHelp(verb)}`);
    return 2;
  }
  if (call.options['help'] === true) {
    console.log(verbHelp(verb));
    return 0;
  }
  return verb.run(call);
}

/** The command line: its words behind the program's name. Sets the exit status. */
export async function main(argv: readonly string[]): Promise<void> {
  try {
    process.exitCode = await answered(argv);
  } catch (error) {
    console.error(`hotseat: ${(error as Error).message}`);
    const reasons = error instanceof ControlError ? error.details : [];
    for (const line of reasons) console.error(`  ${line}`);
    if (argv.includes('--json')) {
      console.log(asciiJson({ code: codeOf(error), error: (error as Error).message, details: reasons }, 2));
    }
    // An agent that gives its reasons has understood, and says no.
    process.exitCode = reasons.length > 0 ? 1 : 2;
  }
}
