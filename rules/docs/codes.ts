// The page of codes.

import { refusals } from '../../agent/core/refusal.js';
import { cell, page } from './page.js';

export const codesPage = (): string =>
  page(
    'Codes of errors',
    'When the agent refuses a request, or cannot be reached, the refusal has one of these codes. With `--json`, a verb prints it as',
    '`{"code": …, "error": …, "details": […]}`. Codes stay the same from version to version; the texts beside them are for people and',
    'may change. `hotseat help codes` prints this table.',
    '',
    '| code | why | what to do |',
    '|---|---|---|',
    ...Object.entries(refusals).map(
      ([code, { cause, remedy }]) => `| \`${code}\` | ${cell(cause)} | ${cell(remedy)} |`,
    ),
    '',
    'A verb exits with 0 when all is well and with 1 when the answer is no. It exits with 2 when it was used wrongly or something failed.',
  );
