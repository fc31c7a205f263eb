import * as assert from 'uvu/assert';
import { preparedLab } from '../driver/prepared.js';
import { inSeat, pause } from '../driver/probes.js';
import { agentLog, inputs, policyDirectory, reload, seatStatus } from '../driver/service.js';
import { test } from '../driver/test.js';

const lab = await preparedLab();

/** A seat file that also wants one keyboard by its serial number, wherever it is plugged. */
async function give(seat: 'left' | 'right', serial: string): Promise<void> {
  const other = seat === 'left' ? 'right' : 'left';
  const rule = [
    '  - label: the keyboard that wanders',
    `    match: { subsystem: input, ID_SERIAL_SHORT: "${serial}" }`,
    '',
  ].join('\n');
  for (const name of [seat, other]) {
    const file = `${policyDirectory}/${name}.yaml`;
    const text = (await lab.sh(`cat ${file}`)).split('\n  - label: the keyboard that wanders')[0] ?? '';
    await lab.putFile(file, `${text}\n${name === seat ? rule : ''}`);
  }
  // Forced, because it is the host's only keyboard.
  await reload(lab, '--force');
}

/** The event node of the left seat's keyboard. */
async function eventNode(): Promise<string> {
  const node = (await seatStatus(lab, 'left'))?.devices
    .map((device) => device.node ?? '')
    .find((name) => name.startsWith('/dev/input/event'));
  assert.ok(node !== undefined);
  return node;
}

test('a policy edit moves a plugged keyboard live: nothing more is read at the old seat, the first key arrives at the new', async () => {
  // On the host's hub no seat has it by port.
  await lab.plug({ seat: 'host', driver: 'usb-kbd', id: 'wander', serial: 'WANDER1', display: 'left' });
  await give('left', 'WANDER1');
  await inputs(lab, 'left', 1);
  const node = await eventNode();
  const holder = await inSeat(lab, 'left', 'holder', node);
  await lab.type('left', 'one\n');
  await lab.until('the first line at left', async () => (await lab.typed('left')).includes('one'));
  await lab.until('the holder to read', async () => holder.stdout.includes('read'), 5000);

  await give('right', 'WANDER1');
  await inputs(lab, 'right', 1);
  await inputs(lab, 'left', 0);
  const before = holder.stdout;
  await lab.type('left', 'two\n');
  await lab.until('the second line at right', async () => (await lab.typed('right')).length > 0);
  await pause(500);
  assert.equal(await lab.typed('right'), ['two'], 'the first key after the move arrives whole');
  assert.equal(await lab.typed('left'), ['one']);
  await holder.done;
  assert.not.match(holder.stdout.slice(before.length), /read/);
  assert.match(holder.stdout, /error 19/, 'the open descriptor was taken back (ENODEV)');
  assert.ok(
    (await agentLog(lab)).some(({ msg }) => msg === 'descriptors taken back' || msg.startsWith('driver unbound')),
  );
});

for (const how of ['socket', 'thread', 'ring'] as const) {
  test(`a descriptor that is hidden in a ${how} reads nothing after a move either`, async () => {
    await give('left', 'WANDER1');
    await inputs(lab, 'left', 1);
    await inputs(lab, 'right', 0);
    const since = (await agentLog(lab)).length;
    const holder = await inSeat(lab, 'left', 'holder', await eventNode(), how);
    await give('right', 'WANDER1');
    await inputs(lab, 'right', 1);
    await lab.type('left', `after ${how}\n`);
    await lab.until('the line at right', async () => (await lab.typed('right')).includes(`after ${how}`));
    await holder.done;
    assert.is(holder.stdout.trim(), 'hidden\nerror 19');
    const rebound = (await agentLog(lab)).slice(since).filter(({ msg }) => msg.startsWith('driver unbound'));
    // A search that ended early, for nobody's doing, has the driver bound again as well.
    const why = rebound.flatMap(({ left = [], handed = [] }) => [...left, ...handed]);
    if (how === 'thread') assert.equal(why, [], 'only what cannot be revoked has its driver bound again');
    else assert.ok(rebound.length > 0, 'what cannot be revoked has its driver bound again');
  });
}

test('a request to a device that never ends holds up that device alone, and it is said who made it', async () => {
  await give('left', 'WANDER1');
  await inputs(lab, 'left', 1);
  await inputs(lab, 'right', 0);
  const running = () => lab.sh('systemctl show -P MainPID -P NRestarts hotseat.service');
  const agent = await running();
  const since = (await agentLog(lab)).length;
  await inSeat(lab, 'left', 'holder', await eventNode(), 'busy');
  await give('right', 'WANDER1');
  const problem = async () => (await seatStatus(lab, 'left'))?.problem ?? '';
  await lab.until('it to be said', async () => (await problem()).includes('kept busy by somebody'), 90_000);
  assert.match(await problem(), /input\/event\d+ back, kept busy by somebody who has it open: .*python3 \(pid \d+\)/);
  const rebound = (await agentLog(lab)).slice(since).some(({ msg }) => msg.startsWith('driver unbound'));
  assert.not.ok(rebound, 'the bus would wait as well');

  const began = performance.now();
  await lab.plug({ seat: 'right', driver: 'usb-kbd', id: 'other', serial: 'OTHER1' });
  await inputs(lab, 'right', 1);
  console.log(`another device, of another seat, meanwhile: ${Math.round(performance.now() - began)} ms (emulated PC)`);
  assert.is(await running(), agent, 'the agent has not been ended by anybody');
  await lab.sh('pkill -KILL -f holder.py');
  // Its next try comes by the clock, up to 30 s later.
  await inputs(lab, 'right', 2, 90_000);
});

test.after(() => lab.stop());
test.run();
