// The doctor's facts about a seat's screen and sound, from files as the kernel has them.

import { chmodSync, chownSync, mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { cardsOf, openedCards } from '../../agent/doctor/screen-facts.js';
import { soundFacts } from '../../agent/doctor/sound-facts.js';

let root: string;
const put = (path: string, text = ''): void => {
  mkdirSync(dirname(join(root, path)), { recursive: true });
  writeFileSync(join(root, path), text);
};

test.before.each(() => {
  root = mkdtempSync(join(tmpdir(), 'hotseat-doctor-facts-'));
});
test.after.each(() => rmSync(root, { recursive: true }));

test('the cards of a seat are those in its directory, with the outputs that the kernel shows', () => {
  for (const name of ['card1', 'renderD129', 'card1-evil', 'card7']) put(`seat/dev/dri/${name}`);
  put('class/drm/card1/dev', '226:1\n');
  put('class/drm/card2/dev', '226:2\n');
  put('class/drm/card1-DP-1/status', 'connected\n');
  put('class/drm/card1-DP-1/enabled', 'enabled\n');
  put('class/drm/card1-HDMI-A-1/status', 'disconnected\n');
  put('class/drm/card1-HDMI-A-1/enabled', 'disabled\n');
  put('class/drm/card1-Writeback-1/status', 'unknown\n');
  put('class/drm/card11-DP-2/status', 'connected\n');
  const cards = cardsOf(join(root, 'seat'), join(root, 'class'));
  assert.equal(cards, [
    {
      card: 'card1',
      number: { major: 226, minor: 1 },
      outputs: [
        { name: 'DP-1', isConnected: true, isLit: true },
        { name: 'HDMI-A-1', isConnected: false, isLit: false },
      ],
    },
  ]);
  const holder = { pid: 5, fd: 9, command: 'Xorg', cgroup: '/cg/left/inner', number: { major: 226, minor: 1 } };
  const opened = openedCards(
    cards,
    [
      holder,
      { ...holder, fd: 10 },
      { ...holder, pid: 6, cgroup: '/cg/lefter' },
      { ...holder, pid: 7, number: { major: 226, minor: 129 } },
    ],
    { cgroup: '/cg/left' },
  );
  assert.equal(opened[0]?.openedBy, ['Xorg (pid 5)']);
  assert.equal(cardsOf(join(root, 'none'), join(root, 'class')), []);
});

/** A process of a container, as procfs shows it. */
function process(pid: number, command: string, uid: number, groups: readonly number[] = []): void {
  put(`proc/${pid}/comm`, `${command}\n`);
  const four = (id: number): string => [id, id, id, id].join('\t');
  put(
    `proc/${pid}/status`,
    `Name:\t${command}\nUid:\t${four(uid)}\nGid:\t${four(uid)}\nGroups:\t${groups.join(' ')} \n`,
  );
}

const facts = () =>
  soundFacts({ cgroup: join(root, 'group'), uid: 0 }, { proc: join(root, 'proc'), seatPath: join(root, 'seat') });

test('a sound server whose user may not open the card is found, and one that may is not', () => {
  put('group/cgroup.procs', '10\n11\n12\n13\n');
  put('seat/dev/snd/controlC1');
  put('seat/dev/snd/pcmC1D0p');
  const node = join(root, 'seat/dev/snd/controlC1');
  chmodSync(node, 0o660);
  if (statSync(node).uid === 0) chownSync(node, 0, 29);
  const { gid } = statSync(node);
  process(10, 'pipewire', 70_001, [5]);
  process(11, 'pulseaudio', 70_002, [5, gid]);
  process(12, 'mpd', 0);
  process(13, 'bash', 70_001);
  assert.equal(facts(), {
    servers: ['pipewire (pid 10)', 'pulseaudio (pid 11)', 'mpd (pid 12)'],
    cards: ['card1'],
    refused: [{ server: 'pipewire (pid 10)', node: '/dev/snd/controlC1' }],
    taken: [],
  });
});

test('a card of which others have every substream is taken, and one with room is not', () => {
  put('group/cgroup.procs', '10\n');
  put('seat/dev/snd/controlC0');
  process(10, 'pipewire', 0);
  process(20, 'mpd', 0);
  const substream = (name: string, text: string): void => put(`proc/asound/card0/${name}/status`, text);
  const running = (pid: number): string => `state: RUNNING\nowner_pid   : ${pid}\ntrigger_time: 1.2\n`;
  substream('pcm0p/sub0', running(20));
  substream('pcm0c/sub0', 'closed\n');
  assert.equal(facts().taken, [{ card: 'card0', by: 'mpd (pid 20)' }]);
  substream('pcm0p/sub1', 'closed\n');
  assert.equal(facts().taken, []);
  substream('pcm0p/sub1', running(10));
  assert.equal(facts().taken, []);
});

test('a container without sound, and without groups, has nothing to tell', () => {
  put('group/cgroup.procs', '');
  assert.equal(facts(), { servers: [], cards: [], refused: [], taken: [] });
});

test.run();
