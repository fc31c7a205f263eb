import { main } from '../../cli/main.js';

export const start = (): Promise<void> => main(process.argv.slice(2));

/** The help of all verbs, and of one: it goes through the table and the words of a call. */
export async function warm(): Promise<void> {
  await main(['help']);
  await main(['status', '--help']);
}
