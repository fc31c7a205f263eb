import { hostname } from 'node:os';
import type { Loaded } from './files.js';
import { loadCommit, resolveCommit } from './git.js';
import { loadDirectory } from './load.js';

/** Where an agent's policy is: a plain directory, or with `ref` a git repository. */
export interface PolicyPlace {
  readonly policies: string;
  readonly ref: string | undefined;
  readonly signers: string | undefined;
}

/** The commit that the ref, or another name for one, stands for now; a plain directory has none. */
export async function commitOf(
  { policies, ref, signers }: PolicyPlace,
  revision?: string,
): Promise<string | undefined> {
  if (ref !== undefined) return resolveCommit({ repository: policies, ref: revision ?? ref, signers });
  if (revision !== undefined) throw new Error(`${policies} is no repository of the agent: run it with --ref`);
  return undefined;
}

/** The policy at a commit of a place, or in its directory. */
export async function loadPolicy({ policies, ref, signers }: PolicyPlace, commit: string | undefined): Promise<Loaded> {
  if (ref === undefined || commit === undefined) return loadDirectory(policies);
  return loadCommit({ repository: policies, ref, signers }, commit, hostname());
}
