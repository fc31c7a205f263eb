import { refusals } from '../core/refusal.js';
import type { Verb, Verbs } from './verb.js';

/** An option as it looks on a command line. */
export const flag = (name: string, { type }: { readonly type: 'string' | 'boolean' }): string =>
  `--${name}${type === 'string' ? ' VALUE' : ''}`;

/** `hotseat VERB --help`. */
export function verbHelp({ usage, summary, options, examples }: Verb): string {
  const flags = Object.entries(options).map(([key, option]) => `  ${flag(key, option).padEnd(22)}${option.help}`);
  return [
    `hotseat ${usage}`,
    '',
    summary,
    ...(flags.length > 0 ? ['', ...flags] : []),
    ...(examples.length > 0 ? ['', 'Examples:'] : []),
    ...examples.flatMap(({ line, help }) => [`  hotseat ${line}`, `      ${help}`]),
  ].join('\n');
}

/** `hotseat help`. */
export const allHelp = (verbs: Verbs): string =>
  [
    'hotseat gives a device to the right seat the moment it is plugged in.',
    '',
    ...Object.entries(verbs).map(([key, { summary }]) => `  ${key.padEnd(10)} ${summary}`),
    '',
    'hotseat VERB --help tells more. Exit status: 0 fine, 1 the answer is no, 2 misuse or fault.',
    'hotseat help codes lists the codes that --json gives for a refusal.',
    'hotseat --version says which version this is.',
  ].join('\n');

/** `hotseat help codes`: the codes of refusals, each with cause and remedy. */
export const codesHelp = (): string =>
  Object.entries(refusals)
    .flatMap(([code, { cause, remedy }]) => [code, `    ${cause}`, `    remedy: ${remedy}`])
    .join('\n');
