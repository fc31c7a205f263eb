// Builds and runs the floor.

import { mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { execa } from 'execa';
import { checkout } from '../../lab/driver/paths.js';

export interface Floor {
  /** ms, in the order in which they were measured. */
  readonly plug: readonly number[];
  readonly unplug: readonly number[];
}

/** A program of the floor in C, and how to get rid of it; undefined when there is no C compiler. */
export interface Built {
  readonly program: string;
  remove(): void;
}

/** `source`: below test/bench. `options`: of the compiler, `-static` for a program that goes elsewhere. */
export async function compiled(source: string, options: readonly string[] = []): Promise<Built | undefined> {
  const directory = mkdtempSync('/var/tmp/hotseat-bench-cc-');
  const program = join(directory, 'program');
  const remove = (): void => rmSync(directory, { recursive: true, force: true });
  const file = join(checkout, 'test/bench', source);
  const { exitCode, code, stderr } = await execa('cc', ['-O2', ...options, '-o', program, file], { reject: false });
  if (exitCode === 0) return { program, remove };
  remove();
  if (code === 'ENOENT') return undefined;
  throw new Error(`cc ${source}: ${stderr}`);
}

export async function floor(program: string, count: number): Promise<Floor> {
  const { stdout } = await execa(program, [String(count)]);
  const lines = stdout.split('\n').map((line) => line.split(' ').map((ns) => Number(ns) / 1e6));
  return { plug: lines.map(([plug = 0]) => plug), unplug: lines.map(([, unplug = 0]) => unplug) };
}
