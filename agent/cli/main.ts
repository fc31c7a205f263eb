#!/usr/bin/env node
import { parseArgs } from 'node:util';
import { ControlError } from '../control/error.js';
import type { ExitCode, Verb } from './verb.js';
import { verbs } from './verbs.js';

/** Help for one verb, or for all. */
function help(name: string | undefined): string {
  const verb = name === undefined ? undefined : verbs[name];
  if (verb !== undefined && name !== undefined) {
    const options = Object.entries(verb.options).map(([key, { type, help: text }]) =>
      `  --${key}${type === 'string' ? ' VALUE' : ''}`.padEnd(24).concat(text),
    );
    return [`hotseat ${verb.usage}`, '', verb.summary, ...(options.length > 0 ? ['', ...options] : [])].join('\n');
  }
  const list = Object.entries(verbs).map(([key, { summary }]) => `  ${key.padEnd(10)} ${summary}`);
  return [
    'hotseat gives a device to the right seat the moment it is plugged in.',
    '',
    ...list,
    '',
    'hotseat VERB --help tells more. Exit status: 0 fine, 1 the answer is no, 2 misuse or fault.',
  ].join('\n');
}

async function main(argv: readonly string[]): Promise<ExitCode> {
  const [name, ...rest] = argv;
  if (name === undefined || name === 'help' || name === '--help' || name === '-h') {
    console.log(help(rest[0]));
    return name === undefined ? 2 : 0;
  }
  const verb: Verb | undefined = Object.hasOwn(verbs, name) ? verbs[name] : undefined;
  if (verb === undefined) {
    console.error(`hotseat: there is no verb ${JSON.stringify(name)}\n\n${help(undefined)}`);
    return 2;
  }
  const options = Object.fromEntries(Object.entries(verb.options).map(([key, { type }]) => [key, { type }]));
  const parsed = parse(rest, options);
  if (typeof parsed === 'string') {
    console.error(`hotseat ${name}: ${parsed}\n\n${help(name)}`);
    return 2;
  }
  if (parsed.options['help'] === true) {
    console.log(help(name));
    return 0;
  }
  return verb.run(parsed);
}

type Parsed = { options: Record<string, string | boolean | undefined>; words: string[] };

function parse(args: string[], options: Record<string, { type: 'string' | 'boolean' }>): Parsed | string {
  try {
    const { values, positionals } = parseArgs({
      args,
      options: { ...options, help: { type: 'boolean', short: 'h' } },
      allowPositionals: true,
    });
    return { options: values, words: positionals };
  } catch (error) {
    return (error as Error).message;
  }
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  console.error(`hotseat: ${(error as Error).message}`);
  if (error instanceof ControlError) for (const line of error.details) console.error(`  ${line}`);
  process.exitCode = 2;
}
