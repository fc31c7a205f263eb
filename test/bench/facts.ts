// Where and of what was measured.

import { readFileSync } from 'node:fs';
import { arch, availableParallelism, cpus, getPriority, loadavg, release, totalmem } from 'node:os';
import { execa } from 'execa';
import type { Facts } from './result.js';

/** `tree`: the checkout; `tools`: programs whose `--version` is noted where they are installed. */
export async function factsOf(tree: string, base: string | undefined, tools: readonly string[]): Promise<Facts> {
  const versions = await Promise.all(tools.map(async (name) => [name, await versionOf(name)] as const));
  return {
    at: new Date().toISOString(),
    commit: await commitOf(tree),
    ...(base === undefined ? {} : { base }),
    machine: `${cpus()[0]?.model.trim() ?? 'unknown processor'} (${arch()})`,
    cores: availableParallelism(),
    memoryMB: Math.round(totalmem() / 2 ** 20),
    load: loadavg()[0] ?? 0,
    nice: getPriority(),
    kernel: release(),
    versions: Object.fromEntries([
      ['node', process.versions.node],
      ...versions.flatMap(([name, version]) => (version === undefined ? [] : [[name, version] as const])),
      ...distribution(),
    ]),
  };
}

/** The commit of a checkout, and whether it has changes that are in none. */
export async function commitOf(tree: string): Promise<string> {
  const git = async (...words: string[]) => (await execa('git', ['-C', tree, ...words])).stdout.trim();
  const commit = await git('rev-parse', '--short=12', 'HEAD');
  const isChanged = (await git('status', '--porcelain', '--untracked-files=no')) !== '';
  return isChanged ? `${commit} with changes` : commit;
}

async function versionOf(program: string): Promise<string | undefined> {
  const { stdout, failed } = await execa(program, ['--version'], { reject: false, timeout: 5000, stdin: 'ignore' });
  return failed ? undefined : /\d+\.[\w.+~-]*\d/.exec(stdout)?.[0];
}

function distribution(): [string, string][] {
  const name = /^PRETTY_NAME="?(.*?)"?$/m.exec(readFileSync('/etc/os-release', 'utf8'))?.[1];
  return name === undefined ? [] : [['on', name]];
}
