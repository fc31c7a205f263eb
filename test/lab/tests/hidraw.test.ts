import * as assert from 'uvu/assert';
import type { Process } from '../driver/channel.js';
import { type Seat, seats } from '../driver/lab.js';
import { preparedLab } from '../driver/prepared.js';
import { inSeat } from '../driver/probes.js';
import { agentLog, HOTSEAT_CLI, policyDirectory, reload, seatStatus, status } from '../driver/service.js';
import { test } from '../driver/test.js';
import { HidDevices } from '../driver/virtual.js';

const lab = await preparedLab();
let devices: HidDevices;

const inside = async (seat: Seat, script: string): Promise<string> =>
  (await lab.inContainer(seat, ['bash', '-ec', script])).stdout.trim();
/** All entries with a raw node's name in a container's /dev, with their types. */
const raws = (seat: Seat) =>
  inside(seat, 'cd /dev; for n in hidraw*; do if [ -c $n ]; then echo $n c; elif [ -e $n ]; then echo $n f; fi; done');
const told = async (seat: Seat) => (await seatStatus(lab, seat))?.devices.map(({ node }) => node) ?? [];

/** The event nodes of a seat, when it has so many: they come a moment after the raw node. */
async function eventsAt(seat: Seat, count: number): Promise<string[]> {
  let nodes: string[] = [];
  await lab.until(`${count} event nodes at ${seat}`, async () => {
    nodes = (await told(seat)).flatMap((node) => (node?.includes('event') === true ? [node] : []));
    return nodes.length === count;
  });
  return nodes;
}

/** Whether the agent has had a driver bound again. */
const boundAgain = async (since = 0) =>
  (await agentLog(lab)).slice(since).some(({ msg }) => msg.startsWith('driver unbound'));

/**
 * Fails unless a program's open descriptor was taken back: ENODEV. After a search that ended early the driver was bound again, and the
 * program may have been told EIO (hidraw.c, hidraw_read).
 */
async function wasTakenBack({ stdout }: Process): Promise<void> {
  const isEio = /error 5$/m.test(stdout) && (await boundAgain());
  if (!isEio) assert.match(stdout, /error 19/, 'ENODEV: the open descriptor was taken back');
}

/** Unplugs a device, and waits until no seat has anything of it: the next one may have its names. */
async function unplug(id: string): Promise<void> {
  await devices.unplug(id);
  for (const seat of seats) {
    await lab.until(`nothing of ${id} at ${seat}`, async () => {
      const nodes = await told(seat);
      return !nodes.some((node) => /input|hidraw/.test(node ?? '')) && (await raws(seat)) === '';
    });
  }
}

const rule = (name: string, hidraw: boolean) =>
  `  - { label: ${name}, match: { subsystem: input, NAME: ["?${name}?"] }${hidraw ? ', hidraw: true' : ''} }`;
const rules: Record<Seat, string[]> = {
  left: [
    ...[rule('left pad', true), rule('plain pad', false), rule('split Keyboard', true), rule('whole *', true)],
    '  - { label: all of it, match: { kind: keyboard, NAME: ["?along*"] }, hidraw: true }',
  ],
  right: [rule('split Mouse', true)],
};
/** The same, but that the mouse of one device is the right seat's. */
const parted: typeof rules = {
  left: rules.left.map((line) => line.replaceAll('whole *', 'whole Keyboard')),
  right: [...rules.right, rule('whole Mouse', false)],
};
const files: Partial<Record<Seat, string>> = {};

async function write(more: Record<Seat, readonly string[]>): Promise<void> {
  for (const seat of seats) {
    const file = `${policyDirectory}/${seat}.yaml`;
    files[seat] ??= await lab.sh(`cat ${file}`);
    await lab.putFile(file, `${[files[seat], ...more[seat]].join('\n')}\n`);
  }
  await reload(lab);
}

/** The raw node of a HID device by its name, as `{ name: 'hidraw0', number: '245 0' }`. */
async function rawOf(device: string): Promise<{ name: string; number: string }> {
  // Its directory comes a moment after the device.
  const find = `d=$(dirname "$(grep -lx 'HID_NAME=${device}' /sys/bus/hid/devices/*/uevent)") && ls $d/hidraw && cat $d/hidraw/*/dev`;
  let found: string[] = [];
  await lab.until(`the raw node of ${device}`, async () => {
    found = (await lab.sh(`(${find}) 2>/dev/null || true`)).split('\n');
    return found.length === 2;
  });
  return { name: found[0] ?? '', number: (found[1] ?? '').replace(':', ' ') };
}

/** Whether root of a container gets in by a node of its own making. */
const intrudes = (seat: Seat, number: string) =>
  inside(
    seat,
    `rm -f /root/raw; mknod /root/raw c ${number} 2>/dev/null || { echo no; exit; }; (exec 3< /root/raw) 2>/dev/null && echo yes || echo no`,
  );

test.before(async () => {
  await write(rules);
  devices = await HidDevices.start(lab);
});

test('the raw node of a game pad comes to its seat with record and announcement, and reports are read at it', async () => {
  const monitor = lab.start(
    ['lxc-attach', '-n', 'left', '--', 'stdbuf', '-oL'].concat([
      'udevadm',
      'monitor',
      '--udev',
      '--property',
      '-s',
      'hidraw',
    ]),
  );
  await lab.until('somebody to listen', async () => monitor.stdout.includes('UDEV'));
  await devices.plug('pad', 'pad', 'left pad');
  const { name, number } = await rawOf('left pad');
  await lab.until('it at left', async () => (await raws('left')) === `${name} c`);
  assert.ok((await told('left')).includes(`/dev/${name}`));
  await inside('left', `test -e /run/udev/data/c${number.replace(' ', ':')}`);
  assert.is(
    await inside('left', `udevadm info --query=property --property=DEVNAME --value /dev/${name}`),
    `/dev/${name}`,
  );
  await lab.until('the announcement', async () =>
    [`DEVNAME=/dev/${name}`, 'ACTION=add'].every((line) => monitor.stdout.includes(line)),
  );
  await monitor.kill().catch(() => undefined);

  const holder = await inSeat(lab, 'left', 'holder', `/dev/${name}`);
  await devices.report('pad', '010000');
  await lab.until('a report to be read', async () => holder.stdout.includes('read 3'));

  assert.is(await raws('right'), '');
  assert.is(await intrudes('right', number), 'no');
  assert.is(await intrudes('left', number), 'yes', 'the same way leads in where it is granted');

  await devices.unplug('pad');
  await lab.until('nothing of it at left', async () => (await raws('left')) === '');
  assert.not.ok((await told('left')).includes(`/dev/${name}`));
  assert.is(await lab.sh('ls /run/hotseat/seats/left/dev/hidraw'), '');
  await holder.done;
  assert.match(holder.stdout, /error/);
});

test('attached by hand, it goes along to the other seat, and back by detach; each time descriptors are taken back', async () => {
  await devices.plug('lent', 'pad', 'left pad');
  const moves = async (from: Seat, to: Seat, verb: 'attach' | 'detach', ...others: string[]): Promise<void> => {
    const { name } = await rawOf('left pad');
    await lab.until(`it at ${from}`, async () => (await raws(from)) === `${name} c`);
    const [event = ''] = await eventsAt(from, 1);
    const holder = await inSeat(lab, from, 'holder', `/dev/${name}`);
    await lab.guest([...HOTSEAT_CLI, verb, event, ...others], { timeoutMs: 90_000 });
    // Where its driver was bound again, the raw node can have another name.
    await lab.until(`it at ${to}`, async () => (await raws(to)) === `${(await rawOf('left pad')).name} c`);
    assert.is(await raws(from), '');
    await holder.done;
    await wasTakenBack(holder);
    assert.is(await intrudes(from, (await rawOf('left pad')).number), 'no');
  };
  await moves('left', 'right', 'attach', 'right');
  await moves('right', 'left', 'detach');
  await unplug('lent');
});

test('without the word in the rule it stays out, and so does a node of the container’s own', async () => {
  await devices.plug('plain', 'pad', 'plain pad');
  const { number } = await rawOf('plain pad');
  await lab.until('its input at left', async () => (await told('left')).some((node) => node?.includes('event')));
  await lab.settled();
  assert.is(await raws('left'), '');
  for (const seat of seats) assert.is(await intrudes(seat, number), 'no');
  assert.equal((await status(lab)).withheld, []);
  await unplug('plain');
});

test('a device whose inputs are of two seats gives its raw node to neither, and says so', async () => {
  await devices.plug('split', 'both', 'split');
  const { name, number } = await rawOf('split');
  for (const seat of seats) {
    await lab.until(`an input at ${seat}`, async () => (await told(seat)).some((node) => node?.includes('event')));
  }
  await lab.settled();
  for (const seat of seats) {
    assert.is(await raws(seat), '');
    assert.is(await intrudes(seat, number), 'no');
  }
  const [withheld] = (await status(lab)).withheld;
  assert.is(withheld?.device, `/dev/${name}`);
  assert.match(withheld?.reason ?? '', /input\d+ left/);
  assert.match(withheld?.reason ?? '', /input\d+ right/);
  const event = (await told('left')).find((node) => node?.includes('event')) ?? '';
  for (const words of [['status'], ['explain', event]]) {
    const { stdout } = await lab.guest([...HOTSEAT_CLI, ...words], { allowFailure: true, timeoutMs: 60_000 });
    assert.match(stdout, new RegExp(`/dev/${name} does not come along: its inputs are not all of one seat alone`));
  }
  await unplug('split');
});

test('what is the same device as a keyboard comes along, also to the host’s udev, which cannot know it by itself', async () => {
  await devices.plug('along', 'both', 'along');
  const { name } = await rawOf('along');
  await lab.until('its raw node at left', async () => (await raws('left')) === `${name} c`);
  const events = await eventsAt('left', 2);
  const seatOf = (node: string) => lab.sh(`udevadm info --query=property --property=ID_SEAT --value ${node}`);
  for (const node of events) {
    await lab.until(`udev to know of ${node}`, async () => (await seatOf(node)) === 'seat-left');
  }
  // A new look of udev at everything changes nothing.
  await lab.sh('udevadm trigger --action=change --subsystem-match=input --settle');
  for (const node of events) assert.is(await seatOf(node), 'seat-left', node);
  await unplug('along');
});

test('it is there again after a restart of the container, and once after one of the agent', async () => {
  await devices.plug('whole', 'both', 'whole');
  const { name } = await rawOf('whole');
  await lab.until('it at left', async () => (await raws('left')) === `${name} c`);
  await lab.stopContainers(['left']);
  await lab.startContainers(['left']);
  await lab.until('it at left again', async () => (await raws('left')) === `${name} c`);
  await lab.sh('systemctl restart hotseat', { timeoutMs: 60_000 });
  await lab.until('the agent to serve', async () => (await told('left')).includes(`/dev/${name}`));
  assert.is(await inside('left', `grep -c ' /dev/${name} ' /proc/self/mountinfo`), '1');
  await inside('left', `umount /dev/${name}`);
  // Looked at again every 30 s.
  await lab.until('a lost one to be repaired', async () => (await raws('left')) === `${name} c`, 120_000);
});

test('when one of the inputs moves, the raw node is taken from who had it before the other gets the input', async () => {
  const { name, number } = await rawOf('whole');
  const holder = await inSeat(lab, 'left', 'holder', `/dev/${name}`);
  await devices.report('whole', '0100040000000000');
  await lab.until('a report to be read', async () => holder.stdout.includes('read'));
  await write(parted);
  await lab.until('the mouse at right', async () => (await told('right')).some((node) => node?.includes('event')));
  assert.is(await raws('left'), '');
  await holder.done;
  await wasTakenBack(holder);
  const before = holder.stdout;
  await devices.report('whole', '02010000');
  assert.is(holder.stdout, before);
  assert.is(await intrudes('left', number), 'no');
  assert.ok((await agentLog(lab)).some(({ msg }) => msg === 'descriptors taken back'));
  await unplug('whole');
});

test('a descriptor that is hidden in a socket dies with the driver of the HID device, which is bound again', async () => {
  await write(rules);
  await devices.plug('whole', 'both', 'whole');
  const { name } = await rawOf('whole');
  await lab.until('it at left', async () => (await raws('left')) === `${name} c`);
  const since = (await agentLog(lab)).length;
  const holder = await inSeat(lab, 'left', 'holder', `/dev/${name}`, 'socket');
  await write(parted);
  await lab.until('the mouse at right', async () => (await told('right')).some((node) => node?.includes('event')));
  await holder.done;
  assert.match(holder.stdout, /^hidden\nerror \d+$/m);
  await lab.until('the log to say so', () => boundAgain(since));
  await unplug('whole');
});

test('a node of a graphics driver beside /dev/dri is shared by the seats that name it, and no other seat opens it', async () => {
  // NVIDIA's first card, as nvidia-modprobe makes it. Without its driver the kernel has nothing to open: ENXIO.
  await lab.sh('mknod --mode=0666 /dev/nvidia0 c 195 0');
  const opened = (seat: Seat, path: string) =>
    inside(
      seat,
      `python3 -c 'import errno, os, sys\ntry: os.open(sys.argv[1], os.O_RDWR)\nexcept OSError as e: print(errno.errorcode[e.errno])' ${path}`,
    );
  const ask = async (line: string) => {
    await lab.putFile(
      `${policyDirectory}/left.yaml`,
      `${files.left ?? ''}`.replace('\ndevices:', `\n${line}\ndevices:`),
    );
    await reload(lab);
  };
  await ask('extra: [nvidia0, nvidiactl]');
  await lab.until('the node at left', async () => (await opened('left', '/dev/nvidia0')) === 'ENXIO');
  assert.ok((await told('left')).includes('/dev/nvidia0'));
  const { withheld } = await status(lab);
  const lacks = withheld.filter(({ device }) => device.startsWith('/dev/nvidia'));
  assert.is(lacks.length, 1);
  assert.match(JSON.stringify(lacks), /nvidiactl.*left \(left\.yaml:\d+\) asks for it, and this PC has no such node/);
  assert.match(await lab.sh(`${HOTSEAT_CLI.join(' ')} explain nvidiactl`), /left\.yaml:\d+.*no such node/s);
  const entry = (await seatStatus(lab, 'left'))?.devices.find(({ node }) => node === '/dev/nvidia0');
  assert.equal([entry?.name, entry?.announced], ['nvidia0', true]);
  // By a node that somebody else has put there, because its engine may let it make none.
  for (const seat of seats) {
    await lab.sh(`mknod --mode=0666 /proc/$(lxc-info -n ${seat} -pH)/root/root/other c 195 0`);
  }
  assert.is(await opened('right', '/root/other'), 'EPERM');
  assert.is(await opened('left', '/root/other'), 'ENXIO');

  await lab.sh('systemctl restart hotseat', { timeoutMs: 60_000 });
  await lab.until('the agent to serve', async () => (await told('left')).includes('/dev/nvidia0'));
  assert.is(await inside('left', `grep -c ' /dev/nvidia0 ' /proc/self/mountinfo`), '1');
  assert.equal([await opened('left', '/dev/nvidia0'), await opened('right', '/root/other')], ['ENXIO', 'EPERM']);

  await ask('');
  await lab.until('it to be gone', async () => (await opened('left', '/dev/nvidia0')) === 'ENOENT');
  assert.is(await opened('left', '/root/other'), 'EPERM');
  assert.not.ok((await told('left')).includes('/dev/nvidia0'));
  await lab.sh('rm /dev/nvidia0');
});

test.after(() => lab.stop());
test.run();
