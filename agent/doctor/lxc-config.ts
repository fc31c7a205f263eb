import { execa } from 'execa';
import { readOptional } from '../kernel/read.js';

/** The doctor's facts about a container's configuration, with all files that it includes. */
export interface LxcConfig {
  /** Whether it mounts its seat's directories itself. */
  readonly mountsSeat: boolean;
  /** Whether its seccomp profile forbids bpf(2). */
  readonly deniesBpf: boolean;
}

/** Asks LXC for a running container's configuration; undefined when it does not say. Root's containers only. */
export async function lxcConfig(name: string, seatPath: string): Promise<LxcConfig | undefined> {
  const keys = ['-c', 'lxc.mount.entry', '-c', 'lxc.seccomp.profile'];
  const { stdout, failed } = await execa('lxc-info', ['-n', name, ...keys], {
    reject: false,
    timeout: 15_000,
    stdin: 'ignore',
  });
  if (failed) return undefined;
  const profile = /^lxc\.seccomp\.profile = (\/.+)$/m.exec(stdout)?.[1];
  return {
    mountsSeat: stdout.includes(`${seatPath}/udev `),
    deniesBpf: profile !== undefined && deniesBpf(readOptional(profile) ?? ''),
  };
}

/**
 * Whether a seccomp profile keeps a container from bpf(2) (lxc.container.conf(5), SECCOMP CONFIGURATION): a version,
 * then the kind of the list, then the list. Rules for another architecture than all are no promise.
 */
export function deniesBpf(profile: string): boolean {
  const lines = profile.split('\n').map((line) => line.replace(/#.*$/, '').trim());
  const [kind = ''] = (lines[1] ?? '').split(/\s+/);
  let everywhere = true;
  const listed = lines.slice(2).some((line) => {
    const section = /^\[(.*)\]$/.exec(line)?.[1];
    if (section !== undefined) everywhere = section === 'all';
    return section === undefined && everywhere && /^bpf(\s|$)/.test(line) && !/^bpf\s+allow\b/.test(line);
  });
  if (/^(denylist|blacklist)$/.test(kind)) return listed;
  return /^(allowlist|whitelist)$/.test(kind) && !lines.slice(2).some((line) => /^bpf(\s|$)/.test(line));
}
