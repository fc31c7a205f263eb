import { statSync } from 'node:fs';
import { join } from 'node:path';
import type { Container } from '../engines/engine.js';
import { mostProcesses, pidsBelow } from '../engines/process.js';
import { namesIn, readOptional } from '../kernel/read.js';
import type { SoundFacts } from './facts.js';

/** Programs that play for all others in a container, by their names. */
const servers: ReadonlySet<string> = new Set(['pipewire', 'wireplumber', 'pulseaudio', 'mpd', 'jackd']);

/** Where a look begins; tests begin elsewhere. */
export interface SoundRoots {
  readonly proc: string;
  readonly seatPath: string;
}

/**
 * The sound servers of a container, the sound cards of its seat, and the reasons why servers cannot play through cards.
 */
export function soundFacts({ cgroup, uid }: Pick<Container, 'cgroup' | 'uid'>, roots: SoundRoots): SoundFacts {
  const pids = pidsBelow(cgroup, mostProcesses);
  const nodes = namesIn(join(roots.seatPath, 'dev/snd')).filter((name) => /^controlC\d+$/.test(name));
  const players = pids.flatMap((pid) => playerOf(roots.proc, pid) ?? []);
  return {
    servers: players.map(nameOf),
    cards: nodes.map((name) => `card${name.slice('controlC'.length)}`).sort(),
    refused: players
      .filter((player) => player.uid !== uid)
      .flatMap((player) =>
        nodes
          .filter((node) => !mayOpen(player, join(roots.seatPath, 'dev/snd', node)))
          .map((node) => refusal(player, node)),
      ),
    taken: nodes.flatMap((name) => takenBy(roots.proc, name.slice('controlC'.length), new Set(pids))),
  };
}

/** A program that plays, with the ids that the kernel checks before it opens a file for it. */
interface Player {
  readonly pid: number;
  readonly command: string;
  readonly uid: number;
  readonly groups: readonly number[];
}

const nameOf = ({ command, pid }: Pick<Player, 'command' | 'pid'>): string => `${command} (pid ${pid})`;
const refusal = (player: Player, node: string) => ({ server: nameOf(player), node: `/dev/snd/${node}` });

function playerOf(proc: string, pid: number): Player | undefined {
  const command = (readOptional(join(proc, String(pid), 'comm')) ?? '').trim();
  if (!servers.has(command)) return undefined;
  const status = readOptional(join(proc, String(pid), 'status')) ?? '';
  // Real, effective, saved and of the file system (proc_pid_status(5)); the last one opens files.
  const ids = (key: string): number[] =>
    (new RegExp(`^${key}:\\s*(.*)$`, 'm').exec(status)?.[1] ?? '').split(/\s+/).map(Number);
  return { pid, command, uid: ids('Uid')[3] ?? 0, groups: [...ids('Gid').slice(3), ...ids('Groups')] };
}

/** Whether a program that is not root may read and write a node. */
function mayOpen({ uid, groups }: Player, path: string): boolean {
  const node = statSync(path, { throwIfNoEntry: false });
  if (node === undefined) return true;
  if (node.uid === uid) return (node.mode & 0o600) === 0o600;
  return groups.includes(node.gid) ? (node.mode & 0o060) === 0o060 : (node.mode & 0o006) === 0o006;
}

/** Programs outside of the container that have everything of a card that can play (sound/core/pcm.c, procfs of a substream). */
function takenBy(proc: string, card: string, own: ReadonlySet<number>): SoundFacts['taken'] {
  const directory = join(proc, 'asound', `card${card}`);
  const substreams = namesIn(directory)
    .filter((name) => /^pcm\d+p$/.test(name))
    .flatMap((pcm) =>
      namesIn(join(directory, pcm))
        .filter((name) => /^sub\d+$/.test(name))
        .map((sub) => join(directory, pcm, sub, 'status')),
    );
  const owners = substreams.map((file) => /^owner_pid\s*:\s*(\d+)$/m.exec(readOptional(file) ?? '')?.[1]);
  const pids = owners.flatMap((pid) => (pid === undefined || own.has(Number(pid)) ? [] : [Number(pid)]));
  if (pids.length === 0 || pids.length < substreams.length) return [];
  const command = (pid: number): string => (readOptional(join(proc, String(pid), 'comm')) ?? '').trim();
  return [
    { card: `card${card}`, by: [...new Set(pids)].map((pid) => nameOf({ pid, command: command(pid) })).join(', ') },
  ];
}
