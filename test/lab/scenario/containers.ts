// The containers of the scenario: unprivileged, of two releases of Debian, each with ids of its own on the host.

import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Lab, Place, Seat } from '../driver/lab.js';
import { checkout, guestFiles } from '../driver/paths.js';
import { recipe } from '../driver/recipe.js';
import { tone } from './tones.js';

/** One container, which is a seat of the same name. */
export interface Container {
  readonly name: string;
  /** Whose hub it has. */
  readonly place: Place;
  /** Of its root file system, below /srv on the host. */
  readonly release: keyof typeof recipe.seats;
  /** The host's id of its root: the first of 65536. */
  readonly firstId: number;
  /** The tone that it plays, Hz. */
  readonly hertz: number;
}

/** A container with a desktop. */
export interface Desk extends Container {
  readonly name: Seat;
  readonly place: Seat;
  /** Whose desktop it is: user 1000 of the container. */
  readonly user: string;
  readonly background: string;
}

export const player: Container = {
  name: 'music',
  place: 'host',
  release: 'seat-older',
  firstId: 1_000_000,
  hertz: 330,
};

export const desks: readonly Desk[] = [
  { name: 'left', place: 'left', release: 'seat', firstId: 1_100_000, hertz: 440, user: 'anna', background: '2a4a78' },
  {
    name: 'right',
    place: 'right',
    release: 'seat-older',
    firstId: 1_200_000,
    hertz: 660,
    user: 'ben',
    background: '78362a',
  },
];

export const containers: readonly Container[] = [player, ...desks];

export const codename = ({ release }: Container): string => recipe.seats[release].suite;

const placeOf = ({ name }: Container): string => `/srv/desks/${name}`;
const isDesk = (container: Container): container is Desk => 'user' in container;

/** Every line that was typed at a desktop, in its shell's own record, as the host sees it. */
export async function typedAt(lab: Lab, desk: Desk): Promise<string[]> {
  const file = `${placeOf(desk)}/upper/home/${desk.user}/typed`;
  const { stdout } = await lab.guest(['cat', file], { allowFailure: true });
  return stdout.split('\n').slice(0, -1);
}

/** Makes a container. One of this name that has other files must not run. */
export async function make(lab: Lab, container: Container): Promise<void> {
  const place = placeOf(container);
  const { name, release, firstId } = container;
  const user = isDesk(container) ? container.user : '';
  const fill = (text: string) =>
    text
      .replaceAll('@NAME@', name)
      .replaceAll('@ROOT@', place)
      .replaceAll('@FIRST@', String(firstId))
      .replaceAll('@USER@', user)
      .replaceAll('@BACKGROUND@', isDesk(container) ? `#${container.background}` : '');
  const put = async (path: string, from: readonly [string, string], mode?: number) =>
    lab.putFile(path, fill(await readFile(join(...from), 'utf8')), mode);
  const inside = (path: string) => `${place}/upper/${path}`;
  const desk = join(guestFiles, 'desk');
  const rules = join(checkout, 'rules');

  await put(`/var/lib/lxc/${name}/config`, [desk, 'config']);
  await lab.putFile(inside('etc/hostname'), `${name}\n`);
  // Without it, systemd takes this for a first boot, and looks at every unit.
  await lab.putFile(inside('etc/machine-id'), `${String(firstId).padStart(32, '0')}\n`);
  if (isDesk(container)) {
    await put(inside('usr/local/bin/hotseat-xorg'), [rules, 'hotseat-xorg'], 0o755);
    await put(inside('etc/X11/xorg.conf.d/hotseat.conf'), [rules, 'xorg-outputs.conf']);
    await put(inside('etc/systemd/system/xorg.service'), [desk, 'xorg.service']);
    await put(inside('etc/systemd/system/desktop.service'), [desk, 'desktop.service']);
    await put(inside('usr/local/bin/desktop'), [desk, 'desktop'], 0o755);
    await put(`${place}/home/.bashrc`, [desk, 'bashrc']);
    await lab.putFile(`${place}/home/tone.wav`, tone(container.hertz, 8));
  } else {
    await put(inside('etc/systemd/system/player.service'), [desk, 'player.service']);
    await put(inside('etc/player.conf'), [desk, 'player.conf']);
    await lab.putFile(inside('srv/tone.wav'), tone(container.hertz, 8));
  }
  await put('/opt/lab/make-root', [desk, 'make-root'], 0o755);
  await lab.guest(['/opt/lab/make-root', place, `/srv/${release}`, String(firstId), user], { timeoutMs: 60_000 });
}
