import * as assert from 'uvu/assert';
import type { TrailRecord } from '../../../agent/audit/trail-reader.js';
import { preparedLab } from '../driver/prepared.js';
import { inSeat } from '../driver/probes.js';
import { HOTSEAT_CLI, HOTSEAT_UNIT, inputs, seatStatus, status, xinput } from '../driver/service.js';
import { test } from '../driver/test.js';

const lab = await preparedLab();

const hotseat = (...words: string[]) =>
  lab.guest([...HOTSEAT_CLI, ...words], { allowFailure: true, timeoutMs: 90_000 });
const records = async (...words: string[]): Promise<TrailRecord[]> =>
  (await hotseat('log', '--json', ...words)).stdout
    .split('\n')
    .flatMap((line) => (line.startsWith('{') ? [JSON.parse(line) as TrailRecord] : []));
/** The event node that a seat has. */
async function eventNode(seat: string): Promise<string> {
  const nodes = (await seatStatus(lab, seat))?.devices.map(({ node }) => node ?? '') ?? [];
  return nodes.find((node) => node.startsWith('/dev/input/event')) ?? '';
}
/** On the host: what Python says of the ACL of a node, which `acl` is the name of. */
const ofAcl = (node: string, what: string) =>
  lab.sh(`python3 -c 'import os, struct; node = "${node}"; acl = "system.posix_acl_access"; ${what}'`);
/** Users who have an entry of their own in it (include/uapi/linux/posix_acl_xattr.h: tag 2). */
const users = (node: string) =>
  ofAcl(
    node,
    'found = os.getxattr(node, acl)[4:] if acl in os.listxattr(node) else b""; print([user for tag, bits, user in struct.iter_unpack("<HHI", found) if tag == 2])',
  );
/** The seat of a node, as udev on the host says. */
const hostSeat = (node: string) => lab.sh(`udevadm info -q property -n ${node} | sed -n 's/^ID_SEAT=//p'`);
async function at(seat: 'left' | 'right', ms = 30_000): Promise<void> {
  await inputs(lab, seat, 1, ms);
  await inputs(lab, seat === 'left' ? 'right' : 'left', 0, ms);
}

test('a keyboard that is attached by hand types at the other seat, and the host agrees', async () => {
  await lab.plug({ seat: 'left', driver: 'usb-kbd', id: 'kbd', serial: 'LENT1', port: 3 });
  await at('left');
  await lab.type('left', 'one\n');
  await lab.until('the first line at left', async () => (await lab.typed('left')).includes('one'));

  const { code, stdout, stderr } = await hotseat('attach', await eventNode('left'), 'right', '--for', '2h');
  console.log(stdout.trim());
  assert.is(code, 0, stdout + stderr);
  await at('right');
  await lab.type('left', 'two\n');
  await lab.until('the second line at right', async () => (await lab.typed('right')).length > 0);
  assert.equal(await lab.typed('right'), ['two'], 'the first key after the move arrives whole');
  assert.equal(await lab.typed('left'), ['one']);
  await lab.settled();
  assert.is(await hostSeat(await eventNode('right')), 'seat-right');
  assert.match(await lab.sh('loginctl seat-status seat-right --no-pager'), /USB Keyboard/);
  assert.not.match(await lab.sh('loginctl seat-status seat-left --no-pager'), /USB Keyboard/);
  assert.equal(
    (await status(lab)).attached.map(({ seat, by }) => [seat, by]),
    [['right', 0]],
  );
});

test('it stays across a restart of the agent, with nothing announced again, and across a replug', async () => {
  const ids = () => lab.inContainer('right', ['xinput', 'list', '--id-only']).then(({ stdout }) => stdout);
  const before = await ids();
  await lab.guest(['systemctl', 'restart', HOTSEAT_UNIT], { timeoutMs: 100_000 });
  await at('right');
  assert.is(await ids(), before);

  await lab.unplug('kbd');
  await inputs(lab, 'right', 0);
  await lab.plug({ seat: 'left', driver: 'usb-kbd', id: 'kbd', serial: 'LENT1', port: 3 });
  await at('right');
  // Another keyboard at that port is not the lent one.
  await lab.unplug('kbd');
  await inputs(lab, 'right', 0);
  await lab.plug({ seat: 'left', driver: 'usb-kbd', id: 'kbd', serial: 'OTHER1', port: 3 });
  await at('left');
  await lab.unplug('kbd');
  await lab.plug({ seat: 'left', driver: 'usb-kbd', id: 'kbd', serial: 'LENT1', port: 3 });
  await at('right');
});

test('an ordinary user is told what he needs, and may take it back once he has it', async () => {
  await lab.sh('useradd --create-home op');
  const asOp = (...words: string[]) =>
    lab.guest(['runuser', '-u', 'op', '--', '/usr/local/bin/hotseat', ...words], {
      allowFailure: true,
      timeoutMs: 90_000,
    });
  assert.match((await asOp('seats')).stdout, /^right .*devices: \d/m);
  const node = await eventNode('right');
  const refused = await asOp('detach', node);
  console.log(refused.stderr.trim());
  assert.is(refused.code, 1);
  assert.match(refused.stderr, /detach is for root and for members of the group hotseat-admin/);
  assert.match((await asOp('log')).stderr, /members of the group hotseat-admin/);
  await at('right');
  await lab.sh('usermod -aG hotseat-admin op');
  // Its driver is bound again for that. The answer comes when the keyboard is back.
  const holder = await inSeat(lab, 'right', 'holder', node, 'socket');
  const { code, stdout, stderr } = await asOp('detach', node);
  assert.is(code, 0, stdout + stderr);
  assert.match(stdout, /: left$/m);
  await at('left');
  await holder.done;
  assert.is(holder.stdout.trim(), 'hidden\nerror 19');
  await lab.settled();
  assert.is(await hostSeat(await eventNode('left')), 'seat-left');
});

test('it goes back by itself when its time is over', async () => {
  const node = await eventNode('left');
  // As udev's uaccess gives a device to a user of the host.
  const entries = '((1, 6, -1), (2, 6, 1234), (4, 6, -1), (16, 6, -1), (32, 0, -1))';
  const packed = `b"".join(struct.pack("<HHI", tag, bits, user & 0xffffffff) for tag, bits, user in ${entries})`;
  await ofAcl(node, `os.setxattr(node, acl, struct.pack("<I", 2) + ${packed})`);
  assert.is(await users(node), '[1234]');
  assert.is((await hotseat('attach', node, 'right', '--for', '40s')).code, 0);
  await at('right');
  await at('left', 180_000);
  await lab.type('left', 'three\n');
  await lab.until('the third line at left', async () => (await lab.typed('left')).includes('three'));
  assert.equal((await status(lab)).attached, []);
  await lab.settled();
  assert.is(await users(node), '[]', 'nobody of the host can open it any more');
});

test('the log has all of it, closed, with who asked; without an agent, too', async () => {
  let all: TrailRecord[] = [];
  // The keyboard is back a moment before its loan is closed.
  await lab.until('the end of the last loan', async () => {
    all = await records();
    return all.filter(({ what, result }) => what === 'detach' && result === 'done').length === 2;
  });
  assert.equal(
    all
      .filter(({ what }) => what === 'attach' || what === 'detach')
      .map(({ what, seat, result, by }) => [
        what,
        seat,
        result,
        by === undefined ? 'nobody' : by.uid === 0 ? 'root' : 'op',
      ]),
    [
      ['attach', 'right', 'done', 'root'],
      ['detach', 'right', 'done', 'op'],
      ['attach', 'right', 'done', 'root'],
      ['detach', 'right', 'done', 'nobody'],
    ],
  );
  const keyboard = all.filter(({ name, what }) => /USB Keyboard/.test(name ?? '') && what === 'bind');
  assert.ok(keyboard.some(({ seat, file, nodes = [] }) => seat === 'left' && file === 'left.yaml' && nodes.length > 0));
  assert.ok(
    keyboard.some(
      ({ seat, file, container }) => seat === 'right' && file === 'hotseat attach' && container === 'right',
    ),
  );
  assert.ok(all.some(({ what, revoked }) => what === 'revoke' && revoked !== undefined));
  assert.equal(await records('--failed'), []);
  console.log((await hotseat('log', '--device', 'QEMU QEMU USB Keyboard', '--since', '10m')).stdout.trim());
  console.log((await hotseat('metrics')).stdout.trim());

  await lab.guest(['systemctl', 'kill', '--signal=KILL', HOTSEAT_UNIT]);
  await lab.until('the agent that systemd starts again', async () => {
    return (await status(lab).catch(() => undefined)) !== undefined;
  });
  await lab.guest(['systemctl', 'stop', HOTSEAT_UNIT], { timeoutMs: 60_000 });
  const failed = await records('--failed');
  assert.equal(
    failed.map(({ what, result }) => [what, result]),
    [['run', 'unclosed']],
  );
  assert.is((await xinput(lab, 'left')).length, 1, 'nothing is taken away meanwhile');
});

test.after(() => lab.stop());
test.run();
