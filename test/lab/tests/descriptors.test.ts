// Seats without any input node: their display servers open keyboards through the holder, which can take them back.

import * as assert from 'uvu/assert';
import type { Process } from '../driver/channel.js';
import { type Seat, seats } from '../driver/lab.js';
import { preparedLab } from '../driver/prepared.js';
import { pause } from '../driver/probes.js';
import { agentLog, HOTSEAT_UNIT, policyDirectory, reload, seatStatus, status } from '../driver/service.js';
import { test } from '../driver/test.js';
import { freezing } from './frozen.js';
import { begunInSeat } from './seated.js';

const lab = await preparedLab();
const serial = 'WANDER1';
const socket = '/dev/input/seatd.sock';

/** All seat files: seats receive descriptors, and this one also the keyboard that wanders. */
async function give(seat: Seat, how = 'descriptor'): Promise<void> {
  for (const name of seats) {
    const file = `${policyDirectory}/${name}.yaml`;
    const rule = `  - { label: it wanders, match: { subsystem: input, ID_SERIAL_SHORT: ${serial} } }`;
    await lab.sh(
      `sed -i '/^receive:/d; /it wanders/d' ${file}; sed -i '/^seat:/a receive: ${how}' ${file}` +
        (name === seat ? `; printf '%s\\n' '${rule}' >> ${file}` : ''),
    );
  }
  await reload(lab, '--force');
}

const inside = async (seat: Seat, script: string): Promise<string> =>
  (await lab.inContainer(seat, ['bash', '-ec', script])).stdout.trim();

/** The node that the seat has as a descriptor. A reload is answered before everything has moved. */
const nodeOf = async (seat: Seat): Promise<string> => {
  let node: string | undefined;
  await lab.until(`a descriptor of ${seat}`, async () => {
    node = (await seatStatus(lab, seat))?.devices.find(({ receive }) => receive === 'descriptor')?.node;
    return node !== undefined;
  });
  return node ?? '';
};

/** Waits for words of a display server, behind the first `from` characters of its output. */
const says = (seated: Process, what: RegExp, from = 0) =>
  lab.until(`${what} of ${seated.argv.join(' ')}`, async () => what.test(seated.stdout.slice(from)), 20_000);

const running = {} as Record<Seat, Process>;

test('a seat that receives descriptors has a socket, and no input node', async () => {
  await give('left');
  for (const seat of seats) {
    await lab.untilInside(seat, 'its socket', `test -S ${socket}`);
    assert.is(await inside(seat, 'ls -A /dev/input'), 'seatd.sock');
    assert.is(await inside(seat, `stat -c '%U %G %a' ${socket}`), 'root input 660');
    await inside(seat, 'id seat || useradd -m -G input seat');
    running[seat] = await begunInSeat(lab, seat, 'seated');
    assert.match(running[seat].stdout, /^at seat0$/m);
  }
});

test('a keyboard that is plugged is opened through it by an ordinary user, and what is typed arrives', async () => {
  await lab.plug({ seat: 'host', driver: 'usb-kbd', id: 'wander', serial, display: 'left' });
  await says(running.left, /^added .*Keyboard/m);
  assert.is(await inside('left', 'ls -A /dev/input'), 'seatd.sock');
  await lab.type('left', 'typed at left\n');
  await says(running.left, /^line typed at left$/m);
  const node = await nodeOf('left');
  const left = await seatStatus(lab, 'left');
  assert.equal(left?.served?.opened, [node], JSON.stringify(left?.served));
  assert.is(left?.served?.isOpen, true);
  assert.is((await seatStatus(lab, 'right'))?.served?.isOpen, true);
});

test('it moves while a key is held: the container never stands still, and the other seat types on', async () => {
  const since = (await agentLog(lab)).length;
  const neverFrozen = await freezing(lab, 'left');
  // The line that was typed before has that key, too.
  const heard = running.left.stdout.length;
  await lab.keyDown('left', 'a');
  await says(running.left, /^down 30$/m, heard);
  await give('right');
  await says(running.left, /^removed .*Keyboard/m);
  await says(running.right, /^added .*Keyboard/m);
  await lab.keyUp('left', 'a');
  const before = running.left.stdout;
  await lab.type('left', 'typed at right\n');
  await says(running.right, /^line typed at right$/m);
  assert.is(running.left.stdout, before, 'nothing more was read at the old seat');
  assert.not.match(running.left.stdout, /^(lost|disabled)$/m, 'the display server runs on');
  await neverFrozen();
  const said = (await agentLog(lab)).slice(since).map(({ msg }) => msg);
  assert.ok(said.includes('descriptors taken back by the holder'), said.join('\n'));
  assert.not.ok(
    said.some((msg) => msg === 'descriptors taken back' || msg.startsWith('driver unbound')),
    said.join('\n'),
  );
});

test('a descriptor that is hidden in a socket, a thread or a ring is dead, and none can be opened once more', async () => {
  const { left } = running;
  await left.kill();
  await give('left');
  await lab.until('the seat to be free', async () => (await seatStatus(lab, 'left'))?.served?.isOpen === false);
  const hidden = await begunInSeat(lab, 'left', 'holder', await nodeOf('left'), 'seat');
  await lab.until('all to be hidden', async () => hidden.stdout.split('hidden').length === 4, 30_000);
  assert.match(hidden.stdout, /^refused 1$/m, 'EPERM: the device program has no grant for it');
  // One key: each of the requests in the ring is served by one report, and some have to be left.
  await lab.key('left', 'a');
  await lab.until('the thread to read', async () => /read/.test(hidden.stdout));
  await give('right');
  await says(running.right, /^added [\s\S]*^removed [\s\S]*^added /m);
  const before = hidden.stdout;
  await lab.type('left', 'unheard\n');
  await says(running.right, /^line unheard$/m);
  await hidden.done;
  assert.not.match(hidden.stdout.slice(before.length), /read/);
  assert.is(hidden.stdout.match(/^error 19$/gm)?.length, 3, hidden.stdout);
  assert.match(hidden.stdout, /^still at the seat$/m);
});

test('whoever keeps it busy for ever holds up that device alone: the other seat is served meanwhile', async () => {
  const holders = () => lab.sh('systemctl show -P MainPID -P NRestarts hotseat-holder.service hotseat.service');
  const before = await holders();
  await give('left');
  await begunInSeat(lab, 'left', 'holder', await nodeOf('left'), 'seat-busy');
  await give('right');
  const problem = async () => (await seatStatus(lab, 'left'))?.problem ?? '';
  await lab.until('it to be said', async () => (await problem()).includes('kept busy by somebody'), 90_000);
  const { right } = running;
  const heard = right.stdout.length;
  await lab.plug({ seat: 'right', driver: 'usb-kbd', id: 'other' });
  await lab.until('another keyboard', async () => /^added .*Keyboard/m.test(right.stdout.slice(heard)));
  assert.is(await holders(), before, 'nobody has been ended');
  await lab.sh('pkill -KILL -f holder.py');
  await lab.until(
    'it at right',
    async () => right.stdout.slice(heard).split(/^added .*Keyboard/m).length === 3,
    60_000,
  );
  const plugged = right.stdout.length;
  await lab.unplug('other');
  await says(right, /^removed .*Keyboard/m, plugged);
});

test('an agent that is killed and started again takes nothing from anybody', async () => {
  const heard = running.right.stdout.length;
  await lab.guest(['systemctl', 'kill', '-s', 'KILL', HOTSEAT_UNIT]);
  await lab.type('left', 'without an agent\n');
  await says(running.right, /^line without an agent$/m);
  await lab.until('another agent', async () => (await status(lab).catch(() => undefined)) !== undefined, 90_000);
  await lab.type('left', 'with another one\n');
  await says(running.right, /^line with another one$/m);
  assert.not.match(running.right.stdout.slice(heard), /^(added|removed)/m);
  assert.is((await seatStatus(lab, 'right'))?.problem, undefined);
});

test('by nodes again, the socket goes', async () => {
  await give('right', 'node');
  await says(running.right, /^(lost|removed[\s\S]*removed)/m);
  await lab.untilInside('right', 'the node', 'test -c /dev/input/event*');
  await lab.untilInside('right', 'no socket', `test ! -e ${socket}`);
  await pause(100);
});

test.after(() => lab.stop());
test.run();
