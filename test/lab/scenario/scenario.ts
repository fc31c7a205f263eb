// The whole text that this project came from, on one PC: a music player and two desktops in three unprivileged containers of two
// releases. The desktops share one graphics card, an output each; everything else is plugged while they run. `npm run lab` shows
// it, and tests/lease.test.ts runs it as tests.

import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import type { Lab } from '../driver/lab.js';
import { gpu, hub, recorded, screen, twoOutputs } from '../driver/machine.js';
import { beside, colourAt, count, type Picture, png, shownAt } from '../driver/picture.js';
import { inputs, policyDirectory, reload, seatStatus } from '../driver/service.js';
import { type Container, codename, containers, type Desk, desks, make, player, typedAt } from './containers.js';
import { strength } from './tones.js';

/** One thing that is done and looked at; it throws when something is wrong. The steps follow each other. */
export interface Step {
  readonly title: string;
  readonly run: () => Promise<void>;
}

/** Which output of the shared card a desktop has, as QEMU counts them. */
export const outputOf = { left: 0, right: 1 } as const;

/** The lines that somebody types at each desktop before the sound. */
const about = [
  '. /etc/os-release; echo $PRETTY_NAME',
  'cat /proc/self/uid_map; ls /dev/dri',
  'ps -o user=,args= -C Xorg',
  'xinput list --name-only | grep QEMU',
];
const lines: Readonly<Record<Desk['name'], readonly string[]>> = {
  left: [...about, "echo 'The quick brown fox sits on the LEFT, and nobody else reads this.'"],
  right: [...about, "echo 'Pack my box with five dozen liquor jugs: RIGHT seat, 100% private!'"],
};
const mpc = 'mpc --host=/run/player/mpd';
const play = (card: string): string => `aplay -q -D plughw:${card} tone.wav`;

/** For each sound card that plays: its number, and the control group of the player. */
const playing = `for status in /proc/asound/card*/pcm0p/sub0/status; do
  grep -q RUNNING $status || continue
  card=\${status#/proc/asound/card}
  read -r _ _ pid < <(grep owner_pid $status)
  echo "\${card%%/*} $(grep -o 'lxc.payload.[a-z]*' /proc/$pid/cgroup)"
done`;

/** The steps on a PC with two outputs on which the agent runs. Other containers of the names that this needs are stopped. */
export function scenario(lab: Lab): readonly Step[] {
  const card = () => lab.sh(`basename /sys/bus/pci/devices/${gpu[twoOutputs].pci}/drm/card*`);
  const inside = async ({ name }: Container, script: string): Promise<string> =>
    (await lab.inContainer(name, ['bash', '-ec', script])).stdout.trim();
  const atEachDesk = (work: (desk: Desk) => Promise<void>) => Promise.all(desks.map(work));
  const picture = ({ name }: Desk) => shownAt(lab, twoOutputs, outputOf[name]);
  /** The number of the sound card that a container has; it has one. */
  const soundCard = (container: Container) => inside(container, 'cd /dev/snd; echo controlC* | cut -c9-');

  /** A sound card of which QEMU writes down what it is sent. */
  async function plugSoundCard(container: Container): Promise<void> {
    const { name, place } = container;
    await lab.plug({
      seat: place,
      driver: 'usb-audio',
      id: `${name}-sound`,
      options: { audiodev: recorded[place] },
    });
    await lab.untilInside(name, `a sound card at ${name}`, '[ -e /dev/snd/controlC[0-9] ]');
  }

  /** Its card, and no other, was sent the tone of this container, and none of another. */
  async function hasItsOwnSound(container: Container): Promise<void> {
    const sound = await lab.machine.recording(container.place);
    for (const { name, hertz } of containers) {
      const found = strength(sound, hertz);
      const isRight = name === container.name ? found > 2000 : found < 200;
      assert.ok(isRight, `the card of ${container.name} has the tone of ${name} with an amplitude of ${found}`);
    }
  }

  async function policies(): Promise<void> {
    const device = await card();
    const connectors = (await lab.sh(`cd /sys/class/drm; ls -d ${device}-*-* | cut -d- -f2-`)).split('\n');
    for (const { name, place } of containers) {
      const port = `"pci-0000:00:05.0-usb-0:${hub[place].port}"`;
      const rules =
        place !== 'host'
          ? [
              `{ label: everything on the ${name} hub, match: { port: ${port} } }`,
              `{ label: the ${name} output, match: { subsystem: drm, ID_PATH: "pci-${gpu[twoOutputs].pci}", connector: ${connectors[outputOf[place]]} } }`,
            ]
          : [`{ label: the speakers, match: { port: ${port}, subsystem: sound } }`];
      const text = [`seat: ${name}`, `container: { engine: lxc, name: ${name} }`, 'devices:'];
      await lab.putFile(
        `${policyDirectory}/${name}.yaml`,
        [...text, ...rules.map((rule) => `  - ${rule}`), ''].join('\n'),
      );
    }
    await reload(lab, '--force');
  }

  async function startContainers(): Promise<void> {
    const plugged = [...lab.machine.plugged.keys()];
    if (plugged.length > 0) await lab.unplug(...plugged);
    await lab.monitor(twoOutputs, screen, 1);
    for (const { name } of desks) await lab.sh(`lxc-stop --kill --name ${name} || true; systemctl stop lxc@${name}`);
    await policies();
    for (const container of containers) await make(lab, container);
    await lab.startContainers(containers.map(({ name }) => name));
    for (const container of containers) {
      const facts = await inside(container, '. /etc/os-release; echo $VERSION_CODENAME $(cat /proc/self/uid_map)');
      assert.is(facts, `${codename(container)} 0 ${container.firstId} 65536`);
      assert.is((await seatStatus(lab, container.name))?.state, 'running');
    }
    for (const desk of desks) await lab.untilInside(desk.name, 'its socket alone', '[ "$(ls /dev/dri)" = hotseat ]');
  }

  async function musicPlays(): Promise<void> {
    await inside(player, 'systemctl start player');
    await lab.untilInside('music', 'the player to listen', 'test -S /run/player/mpd');
    await inside(player, `${mpc} update --wait && ${mpc} repeat on && ${mpc} add tone.wav && { ${mpc} play || true; }`);
    assert.is(await lab.sh(playing), '');
    await plugSoundCard(player);
    await lab.untilInside('music', 'music', `${mpc} play && sleep 1 && ${mpc} | grep playing`);
    await lab.until('its card to play', async () => /^\d+ lxc\.payload\.music$/.test(await lab.sh(playing)));
    await inside(player, `${mpc} pause`);
  }

  async function desktopsStart(): Promise<void> {
    await atEachDesk(async (desk) => {
      await inside(desk, 'systemctl start --no-block xorg desktop');
      const isShown = async () => colourAt(await picture(desk), 60, screen.height - 10) === desk.background;
      await lab.until(`the desktop of ${desk.name}`, isShown, 90_000);
      await lab.untilInside(
        desk.name,
        'its terminal',
        'xdotool search --onlyvisible --class xterm 2>/dev/null | grep .',
      );
    });
    const servers =
      "for pid in $(pgrep -x Xorg); do awk '/^Uid|^CapEff/ {print $2}' /proc/$pid/status | paste -sd ' '; done";
    const wanted = desks.map(({ firstId }) => `${firstId + 1000} 0000000000000000`);
    assert.equal((await lab.sh(servers)).split('\n').sort(), wanted);
    for (const desk of desks) {
      const [output] = (await seatStatus(lab, desk.name))?.outputs ?? [];
      assert.is(output?.state, 'leased', JSON.stringify(output));
      assert.equal(await inside(desk, 'ls /dev/dri; ls /dev/input; ls /dev/snd'), 'hotseat');
    }
  }

  async function everythingPlugged(): Promise<void> {
    for (const desk of desks) {
      await lab.plug({ seat: desk.name, driver: 'usb-kbd', id: `${desk.name}-keys` });
      await lab.plug({ seat: desk.name, driver: 'usb-mouse', id: `${desk.name}-mouse` });
      await plugSoundCard(desk);
    }
    await atEachDesk(({ name }) => inputs(lab, name, 2));
    const cards = await Promise.all(containers.map(soundCard));
    assert.is(new Set(cards).size, containers.length, `sound cards: ${cards.join(', ')}`);
    for (const number of cards) assert.match(number, /^\d+$/);
    assert.is(await inside(player, 'find /dev/input /dev/dri -type c 2>/dev/null || true'), '');
  }

  async function bothType(): Promise<void> {
    const pointer = (desk: Desk) => inside(desk, 'xdotool getmouselocation');
    await atEachDesk(async (desk) => {
      // The shell keeps a line when it is ready for the next one.
      for (const [at, line] of lines[desk.name].entries()) {
        await lab.type(desk.name, `${line}\n`);
        await lab.until(`line ${at + 1} at ${desk.name}`, async () => (await typedAt(lab, desk)).length > at);
      }
    });
    for (const desk of desks) assert.equal(await typedAt(lab, desk), lines[desk.name]);
    const [before, others] = await Promise.all(desks.map(pointer));
    await lab.move('left', 40, 30);
    const [left, right] = desks;
    if (left === undefined || right === undefined) return;
    await lab.until('the pointer at left to move', async () => (await pointer(left)) !== before);
    assert.is(await pointer(right), others);
  }

  async function allSound(): Promise<void> {
    const cards = new Map(await Promise.all(containers.map(async (one) => [one.name, await soundCard(one)] as const)));
    await inside(player, `${mpc} play`);
    await atEachDesk(({ name }) => lab.type(name, `${play(cards.get(name) ?? '')}\n`));
    const wanted = containers.map(({ name }) => `${cards.get(name)} lxc.payload.${name}`).sort();
    let found = '';
    await lab
      .until('all three to play', async () => {
        found = await lab.sh(`${playing} | sort`);
        return found === wanted.join('\n');
      })
      .catch((error: Error) => assert.unreachable(`plays: ${found}, not ${wanted}\n${error.message}`));
    await atEachDesk((desk) =>
      lab.until(`${desk.name} to have played`, async () => (await typedAt(lab, desk)).length > lines[desk.name].length),
    );
    for (const container of containers) await hasItsOwnSound(container);
  }

  async function screensShow(): Promise<void> {
    const shown = await Promise.all(desks.map(picture));
    for (const [at, desk] of desks.entries()) {
      const one = shown[at] as Picture;
      assert.equal([one.width, one.height], [screen.width, screen.height]);
      assert.is(colourAt(one, 60, screen.height - 10), desk.background);
      // Letters of some ten lines.
      assert.ok(count(one, 'e8e8e8') > 5000, `${count(one, 'e8e8e8')} pixels of letters at ${desk.name}`);
    }
  }

  return [
    { title: 'three containers of Debian 13 and Debian 12 start, each with user ids of its own', run: startContainers },
    { title: 'the music player plays on a sound card that is plugged while it runs', run: musicPlays },
    {
      title: 'an Xorg that is root nowhere draws on each output of one card, without a node of it',
      run: desktopsStart,
    },
    {
      title: 'a keyboard, a mouse and a sound card are plugged at each desktop, and come there alone',
      run: everythingPlugged,
    },
    { title: 'two people type at once: each line arrives at its own desktop, and nowhere else', run: bothType },
    { title: 'all three sound at once, and each card gets its own tone alone', run: allSound },
    { title: 'both screens show what was typed', run: screensShow },
  ];
}

/** Both screens as PNG, `left.png` and `right.png`, and beside each other, `both.png`. */
export async function takePictures(lab: Lab, directory: string): Promise<string[]> {
  await mkdir(directory, { recursive: true });
  const files = desks.map(({ name }) => join(directory, `${name}.png`));
  for (const [at, { name }] of desks.entries()) await lab.shot(twoOutputs, files[at] ?? '', outputOf[name]);
  const [left, right] = await Promise.all(desks.map(({ name }) => shownAt(lab, twoOutputs, outputOf[name])));
  const both = join(directory, 'both.png');
  if (left !== undefined && right !== undefined) await writeFile(both, png(beside(left, right)));
  return [...files, both];
}
