import { hostname } from 'node:os';
import { parseArgs } from 'node:util';
import { lastGood, lastGoodFile } from '../active/last-good.js';
import type { SeatPolicy } from '../core/policy.js';
import { readOptional } from '../kernel/read.js';
import { formatDiagnostic } from '../policy/diagnostics.js';
import { commitOf, loadPolicy, type PolicyPlace } from '../policy/source.js';
import type { PolicyFacts } from './facts.js';

/** The options that the unit gives to the daemon. */
const optionsFile = '/etc/default/hotseat';

/** Where the daemon's policy is, by the text of its options file (systemd.exec(5), EnvironmentFile=). */
export function placeOf(text: string, usual: string): PolicyPlace {
  const options = [...text.matchAll(/^\s*HOTSEAT_OPTIONS=(["']?)(.*)\1\s*$/gm)].at(-1)?.[2] ?? '';
  const { values } = parseArgs({
    args: options.split(/\s+/).filter((word) => word !== ''),
    options: { policies: { type: 'string' }, ref: { type: 'string' }, signers: { type: 'string' } },
    strict: false,
  });
  const given = (value: string | boolean | undefined) => (typeof value === 'string' ? value : undefined);
  return { policies: given(values['policies']) ?? usual, ref: given(values['ref']), signers: given(values['signers']) };
}

/**
 * The policy that the daemon would take now, and the seats to look at. These are its own. While it has mistakes, they
 * are those of the last good policy. `usual`: its place when nothing else is said.
 */
export async function policyFacts(usual: string): Promise<PolicyFacts & { readonly seats: readonly SeatPolicy[] }> {
  const place = placeOf(readOptional(optionsFile) ?? '', usual);
  const name = place.ref === undefined ? place.policies : `${place.ref} of ${place.policies}`;
  try {
    const loaded = await loadPolicy(place, await commitOf(place));
    if (loaded.ok) return { place: name, errors: [], seats: loaded.policy.seats };
    return { place: name, errors: loaded.diagnostics.map(formatDiagnostic), seats: former() };
  } catch (error) {
    return { place: name, errors: [(error as Error).message], seats: former() };
  }
}

const former = (): readonly SeatPolicy[] => lastGood(lastGoodFile, hostname())?.policy.seats ?? [];
