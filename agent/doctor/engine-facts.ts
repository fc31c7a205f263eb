import { execa } from 'execa';
import { dialects } from '../engines/all.js';
import { programPath } from '../engines/programs.js';
import type { EngineFacts } from './facts.js';

/** Longest that an engine's program may take to say its version, ms. */
const limit = 15_000;

/** The engines that are installed. Their programs are asked for their version and for nothing else. */
export async function engineFacts(): Promise<EngineFacts[]> {
  const found = Object.values(dialects).map(async ({ engine, program }): Promise<EngineFacts[]> => {
    const path = programPath(program);
    if (path === undefined) return [];
    const said = await execa(path, ['--version'], { reject: false, timeout: limit, stdin: 'ignore' });
    const version = said.stdout.split('\n')[0]?.trim() ?? '';
    return [{ engine, version: version === '' ? `${path} does not say its version` : version }];
  });
  return (await Promise.all(found)).flat();
}
