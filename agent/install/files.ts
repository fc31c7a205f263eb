import { readFileSync } from 'node:fs';
import { join } from 'node:path';

/** Where an installation puts its files. */
export interface Places {
  /** The program tree: `dist`, `node_modules`, `package.json`, `rules`. */
  readonly program: string;
  readonly bin: string;
  readonly units: string;
  readonly groups: string;
  readonly share: string;
  readonly zsh: string;
}

/** The Debian package's. Files in `rules` name these. */
export const packaged: Places = {
  program: '/usr/lib/hotseat',
  bin: '/usr/bin',
  units: '/usr/lib/systemd/system',
  groups: '/usr/lib/sysusers.d',
  share: '/usr/share',
  zsh: '/usr/share/zsh/vendor-completions',
};

/** A checkout's, which stays where it is. The distribution's files are left alone. */
export const local = (program: string): Places => ({
  program,
  bin: '/usr/local/bin',
  units: '/etc/systemd/system',
  groups: '/etc/sysusers.d',
  share: '/usr/local/share',
  zsh: '/usr/local/share/zsh/site-functions',
});

export interface InstalledFile {
  readonly path: string;
  readonly text: string;
  readonly mode: number;
  /** The admin may change it: an installation leaves an existing file alone. */
  readonly admins: boolean;
}

/** Files that are made from the table of verbs. */
export interface Generated {
  readonly page: string;
  readonly completion: (shell: 'bash' | 'zsh' | 'fish') => string;
}

/** The groups that an installation makes (sysusers.d(5)). */
export const groupsFile = ({ groups }: Places): string => join(groups, 'hotseat.conf');

/** Everything that is installed besides the program itself; the package and `hotseat install` have it from here. */
export function installedFiles(source: string, places: Places, generated: Generated): InstalledFile[] {
  const { program, bin, units, share, zsh } = places;
  const rule = (name: string): string => relocate(readFileSync(join(source, 'rules', name), 'utf8'), places);
  const file = (path: string, text: string, mode = 0o644, admins = false): InstalledFile => ({
    ...{ path, text, mode, admins },
  });
  // Debian's Node, and not another one in the admin's PATH.
  const start = `#!/bin/sh\nexec /usr/bin/node ${program}/dist/hotseat/main.js "$@"\n`;
  return [
    file(join(bin, 'hotseat'), start, 0o755),
    file(join(units, 'hotseat.service'), rule('hotseat.service')),
    file(join(units, 'hotseat-consoles.service'), rule('hotseat-consoles.service')),
    file(join(units, 'hotseat-holder.service'), rule('hotseat-holder.service')),
    file(join(units, 'hotseat-holder.socket'), rule('hotseat-holder.socket')),
    file(join(units, 'hotseat-mute.service'), rule('hotseat-mute.service')),
    file(join(units, 'getty.target.d/hotseat.conf'), rule('getty-target.conf')),
    file(join(units, 'systemd-nspawn@.service.d/hotseat.conf'), rule('nspawn.conf')),
    file(groupsFile(places), rule('sysusers.conf')),
    file('/etc/default/hotseat', rule('default'), 0o644, true),
    file(join(share, 'hotseat/lxc-seat.conf'), rule('lxc-seat.conf')),
    file(join(share, 'hotseat/hotseat-xorg'), rule('hotseat-xorg'), 0o755),
    file(join(share, 'hotseat/hotseat-wlroots'), rule('hotseat-wlroots'), 0o755),
    file(join(share, 'hotseat/xorg-outputs.conf'), rule('xorg-outputs.conf')),
    file(join(share, 'hotseat/lxc-frames.seccomp'), rule('lxc-frames.seccomp')),
    file(join(share, 'hotseat/oci-frames.json'), rule('oci-frames.json')),
    file(join(share, 'hotseat/boot-consoles'), rule('boot-consoles')),
    file(join(share, 'bash-completion/completions/hotseat'), generated.completion('bash')),
    file(join(zsh, '_hotseat'), generated.completion('zsh')),
    file(join(share, 'fish/vendor_completions.d/hotseat.fish'), generated.completion('fish')),
    file(join(share, 'man/man8/hotseat.8'), generated.page),
  ];
}

/** Files in `rules` name the package's paths. */
const relocate = (text: string, { program, bin, share }: Places): string =>
  text
    .replaceAll(`${packaged.program}/`, `${program}/`)
    .replaceAll(join(packaged.bin, 'hotseat'), join(bin, 'hotseat'))
    .replaceAll('/usr/share/hotseat', `${share}/hotseat`);
