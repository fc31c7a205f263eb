// Brings this checkout into the guest: the built agent with its production packages, and the containers' files.

import { createHash } from 'node:crypto';
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { execa } from 'execa';
import { natives, runtimePackages } from '../../../rules/package/dependencies.js';
import type { Lab } from './lab.js';
import { gpu } from './machine.js';
import { checkout, guestFiles } from './paths.js';

const background = { left: '#102040', right: '#401020' } as const;

export async function deploy(lab: Lab): Promise<void> {
  await deployAgent(lab);
  await deployContainers(lab);
}

export async function deployAgent(lab: Lab): Promise<void> {
  const wanted = ['dist/hotseat', 'package.json', 'rules', 'policies'];
  const packages = runtimePackages(checkout, natives).map((directory) => relative(checkout, directory));
  const tar = await execa(
    'tar',
    [
      ...['-C', checkout, '-cf', '-', '--use-compress-program=gzip -1', '--exclude=*.map', '--exclude=*.o'],
      ...[...wanted, ...packages],
    ],
    { encoding: 'buffer', maxBuffer: 2 ** 30 },
  );
  await lab.guest(
    [
      'sh',
      '-ec',
      'rm -rf /opt/hotseat.new; mkdir -p /opt/hotseat.new; tar -C /opt/hotseat.new -xzf -; rm -rf /opt/hotseat; mv /opt/hotseat.new /opt/hotseat',
    ],
    {
      stdin: Buffer.from(tar.stdout),
      timeoutMs: 180_000,
    },
  );
}

/** Containers must be stopped: their files are written into the layer that lies over /srv/seat. */
export async function deployContainers(lab: Lab): Promise<void> {
  const stage = await mkdtemp(join(tmpdir(), 'hotseat-deploy-'));
  try {
    for (const name of ['left', 'right'] as const) await stageContainer(lab, name, join(stage, 'var/lib/lxc', name));
    await chmod(stage, 0o755);
    const tar = await execa('tar', ['-C', stage, '--owner=0', '--group=0', '-cf', '-', 'var'], { encoding: 'buffer' });
    await lab.guest(['tar', '-C', '/', '--no-overwrite-dir', '-xf', '-'], { stdin: Buffer.from(tar.stdout) });
  } finally {
    await rm(stage, { recursive: true, force: true });
  }
}

async function stageContainer(lab: Lab, name: 'left' | 'right', base: string): Promise<void> {
  const card = await lab.sh(`basename /sys/bus/pci/devices/${gpu[name].pci}/drm/card*`, { timeoutMs: 20_000 });
  if (!/^card\d+$/.test(card)) throw new Error(`no single DRM card at ${gpu[name].pci}: ${card}`);
  const fill = (text: string) => text.replaceAll('@CARD@', card).replaceAll('@BACKGROUND@', background[name]);
  const put = async (path: string, text: string, mode = 0o644) => {
    await mkdir(dirname(join(base, path)), { recursive: true });
    await writeFile(join(base, path), fill(text), { mode });
  };
  const seatFile = async (from: string, to: string, mode?: number) =>
    put(`delta/${to}`, await readFile(join(guestFiles, 'seat', from), 'utf8'), mode);

  // The two includes of `config`. A file of the same name in guest/containers/<name>/ takes their place.
  await put(
    'card.conf',
    `lxc.cgroup2.devices.allow = c 226:${card.slice('card'.length)} rwm\n` +
      `lxc.mount.entry = /dev/dri/${card} dev/dri/${card} none bind,create=file 0 0\n`,
  );
  await put('hotseat.conf', '');
  const dir = join(guestFiles, 'containers', name);
  for (const file of await readdir(dir)) await put(file, await readFile(join(dir, file), 'utf8'));

  await put('delta/etc/hostname', `${name}\n`);
  // Without it, systemd takes this for a first boot, and looks at every unit.
  await put('delta/etc/machine-id', `${createHash('md5').update(name).digest('hex')}\n`);
  await seatFile('xorg.conf', 'etc/X11/xorg.conf');
  await seatFile('xorg.service', 'etc/systemd/system/xorg.service');
  await seatFile('term.service', 'etc/systemd/system/term.service');
  await seatFile('seat-terminal', 'usr/local/bin/seat-terminal', 0o755);
}
