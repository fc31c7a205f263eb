import { spawn, spawnSync } from 'node:child_process';
import { chmodSync, closeSync, mkdirSync, rmdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setImmediate, setTimeout } from 'node:timers/promises';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import * as bpf from '../../agent/kernel/bpf.js';
import { Assembler } from '../../agent/kernel/bpf-asm.js';
import { cgroupId, cgroupRoot, cgroupsBelow } from '../../agent/kernel/cgroup.js';
import { DeviceMap } from '../../agent/kernel/device-map.js';
import { closeDoors, openDoors } from '../../agent/kernel/doors.js';
import { makeNode, openAt } from '../../agent/kernel/fs.js';
import { deepest } from '../../agent/kernel/grant-program.js';
import { ensureOpener, OpenerError } from '../../agent/kernel/opener.js';
import { until } from './until.js';

// Input devices without a driver: ENXIO says that permission was given, EPERM that it was not. The guard hangs on a
// group of this file's own instead of the hierarchy's root, so that nothing else on the machine is in reach.
const root = join(cgroupRoot(), `hotseat-kernel-${process.pid}`);
const group = join(root, 'payload');
const init = join(group, 'init.scope');
const keyboard = { major: 13, minor: 1000 };
const mouse = { major: 13, minor: 1001 };
const scratch = `/tmp/hotseat-kernel-grants-${process.pid}`;

type Number = typeof keyboard;

function opens(cgroup: string, { major, minor }: Number, ...before: string[]): 'allowed' | 'denied' {
  const node = `${scratch}/${major}-${minor}`;
  const script = [`echo $$ > ${cgroup}/cgroup.procs`, ...before, `exec cat ${node}`].join(' && ');
  const { stderr, status } = spawnSync('sh', ['-c', script], {
    encoding: 'utf8',
    env: { ...process.env, LC_ALL: 'C' },
  });
  if (status === 0 || stderr.includes('No such device or address')) return 'allowed';
  assert.match(stderr, 'Operation not permitted');
  return 'denied';
}

function within<T>(cgroup: string, action: (directory: number) => T): T {
  const directory = openAt(undefined, cgroup);
  try {
    return action(directory);
  } finally {
    closeSync(directory);
  }
}

const idsOn = (cgroup: string): number[] => within(cgroup, (directory) => bpf.attached(directory).ids);

function detachAll(cgroup: string): void {
  within(cgroup, (directory) => {
    for (const id of bpf.attached(directory).ids) {
      const program = bpf.programById(id);
      bpf.detach(directory, program);
      closeSync(program);
    }
  });
}

/** The program of an engine that allows nothing but /dev/null, or another minor; its descriptor. */
function loadEngine(minor = 3, name = 'engine'): number {
  const code = new Assembler().load32(2, 1, 8).set(0, 0).ifNotEqual(2, minor, 'end').set(0, 1).label('end').exit();
  return bpf.load(bpf.programType.cgroupDevice, name, code.build());
}

function attachEngine(cgroup: string, alone = false): void {
  const program = loadEngine();
  within(cgroup, (directory) => {
    if (alone) bpf.attachAlone(directory, program, 0);
    else bpf.attach(directory, program);
  });
  closeSync(program);
}

const namesOn = (cgroup: string): string[] =>
  idsOn(cgroup).map((id) => {
    const fd = bpf.programById(id);
    try {
      return bpf.programInfo(fd).name;
    } finally {
      closeSync(fd);
    }
  });

let map: DeviceMap;
test.before(() => {
  mkdirSync(init, { recursive: true });
  mkdirSync(scratch);
  within(scratch, (directory) => {
    for (const { major, minor } of [keyboard, mouse, { major: 1, minor: 3 }]) {
      makeNode(directory, `${major}-${minor}`, { major, minor, uid: 0, gid: 0, mode: 0o600 });
    }
  });
  map = DeviceMap.open({ cgroupRoot: root });
  map.guard(cgroupId(group));
});
test.after(() => {
  map.remove();
  map.close();
  rmSync(scratch, { recursive: true });
  for (const directory of [init, group, root]) rmdirSync(directory);
});

test('a grant opens one number of a guarded major; other majors are not our business', () => {
  assert.is(opens(init, keyboard), 'denied');
  map.grant(cgroupId(group), keyboard, map.generation(keyboard));
  assert.is(opens(init, keyboard), 'allowed');
  assert.is(opens(init, mouse), 'denied');
  assert.is(opens(init, { major: 1, minor: 3 }), 'allowed');
});

test('a device under another name is opened in no container, and not by a user who runs a seat', () => {
  const names = ['10-1', '14-3', '29-0', '180-0', '180-96'];
  const others = ['10-200', '1-3'];
  const outside = join(root, 'apart');
  mkdirSync(outside);
  within(scratch, (directory) => {
    for (const name of [...names, ...others]) {
      const [major = 0, minor = 0] = name.split('-').map(Number);
      rmSync(`${scratch}/${name}`, { force: true });
      makeNode(directory, name, { major, minor, uid: 0, gid: 0, mode: 0o666 });
    }
  });
  /** Names that a process in a group is refused by a device program: EPERM, whether there is a device or not. */
  const refused = (cgroup: string, uid: number): string[] => {
    const script = `import os, sys
os.setgroups([])
os.setuid(${uid})
for name in sys.argv[1:]:
    try:
        os.close(os.open('${scratch}/' + name, os.O_RDONLY | os.O_NONBLOCK))
    except PermissionError:
        print(name)
    except OSError:
        pass`;
    const run = `echo $$ > ${cgroup}/cgroup.procs && exec python3 -c "$0" "$@"`;
    const { stdout, status } = spawnSync('sh', ['-c', run, script, ...names, ...others], { encoding: 'utf8' });
    assert.is(status, 0);
    return stdout.split('\n').filter((line) => line !== '');
  };
  assert.equal(refused(init, 0), names);
  assert.equal(refused(outside, 4711), []);
  map.restrict([{ first: 4711, last: 4711 }]);
  assert.equal(refused(outside, 4711), names);
  assert.equal(refused(outside, 4712), []);
  assert.equal(refused(outside, 0), []);
  map.restrict([]);
  rmdirSync(outside);
});

test('making a node of a number that is not granted is denied as well', () => {
  const make = (minor: number) => `mknod ${scratch}/own-${minor} c 13 ${minor}`;
  const { status } = spawnSync('sh', ['-c', `echo $$ > ${init}/cgroup.procs && ${make(mouse.minor)}`]);
  assert.is.not(status, 0);
});

test('a raised generation voids the grant at once, and a new grant needs the new generation', () => {
  const before = map.generation(keyboard);
  map.grant(0n, keyboard, before + 1n); // as the withdrawing program does in the kernel
  assert.is(opens(init, keyboard), 'denied');
  assert.equal([...(map.grants().get(cgroupId(group)) ?? [])], [['13:1000', false]]);
  map.grant(cgroupId(group), keyboard, before);
  assert.is(opens(init, keyboard), 'denied', 'the device that was checked is not the one that is there now');
  map.grant(cgroupId(group), keyboard, map.generation(keyboard));
  assert.is(opens(init, keyboard), 'allowed');
});

test('a generation that was read before the number was forgotten never comes true again', () => {
  const old = map.generation(mouse);
  map.grant(cgroupId(group), mouse, old);
  map.deny(cgroupId(group), mouse);
  const fresh = map.generation(mouse);
  assert.ok(fresh > old);
  map.grant(cgroupId(group), mouse, old);
  assert.is(opens(init, mouse), 'denied');
  map.deny(cgroupId(group), mouse);
});

test('denying keeps the generation while another container refers to it', () => {
  map.grant(cgroupId(init), keyboard, map.generation(keyboard));
  map.deny(cgroupId(init), keyboard);
  assert.is(opens(init, keyboard), 'allowed');
});

test('the root of a container detaches all programs that it can reach, and still cannot open its neighbour’s keyboard', () => {
  attachEngine(group);
  const script = `
import ctypes, os, struct
os.system('mount -t cgroup2 none /mnt')
libc = ctypes.CDLL(None, use_errno=True)
fd = os.open('/mnt', os.O_RDONLY | os.O_DIRECTORY)
def bpf(command, attributes):
    buffer = ctypes.create_string_buffer(attributes, len(attributes))
    result = libc.syscall(321, command, buffer, len(attributes))
    return result, buffer.raw
ids = (ctypes.c_uint32 * 16)()
_, answer = bpf(16, struct.pack('IIIIQII', fd, 6, 0, 0, ctypes.addressof(ids), 16, 0))
count = struct.unpack_from('I', answer, 24)[0]
for id in ids[:count]:
    program, _ = bpf(13, struct.pack('III', id, 0, 0))
    assert bpf(9, struct.pack('IIIII', fd, program, 6, 0, 0))[0] == 0
print(count)
`;
  const enter = `echo $$ > ${group}/cgroup.procs && exec unshare --cgroup --mount python3 -`;
  const { stdout, stderr } = spawnSync('sh', ['-c', enter], { input: script, encoding: 'utf8' });
  assert.is(stdout.trim(), '1', stderr);
  assert.equal(idsOn(group), [], 'the engine’s program is gone');
  assert.is(idsOn(root).length, 1, 'the guard is not');
  assert.is(opens(init, mouse), 'denied');
  assert.is(opens(init, keyboard), 'allowed');
});

test('an opener is renewed when it looks into a map that is no longer ours', () => {
  attachEngine(group);
  assert.is(opens(init, keyboard), 'denied', 'the engine says no');
  assert.ok(ensureOpener(map, group));
  assert.is(opens(init, keyboard), 'allowed');
  map.remove();
  map.close();
  map = DeviceMap.open({ cgroupRoot: root });
  map.guard(cgroupId(group));
  map.grant(cgroupId(group), mouse, map.generation(mouse));
  assert.is(opens(init, mouse), 'denied', 'the opener still looks into the former map');
  assert.ok(ensureOpener(map, group));
  assert.is(opens(init, mouse), 'allowed');
  map.grant(cgroupId(group), keyboard, map.generation(keyboard));
  assert.is(opens(init, keyboard), 'allowed');
  assert.not.ok(ensureOpener(map, group));
  assert.is(opens(init, { major: 1, minor: 3 }), 'allowed', 'the engine’s own rules came along');
});

test('an opener and a guard of another version are replaced, the grants stay', () => {
  const [guard] = idsOn(root);
  const other = DeviceMap.open({ cgroupRoot: root, majors: [13, 116, 226, 240] });
  assert.is(idsOn(root).length, 1);
  assert.is.not(idsOn(root)[0], guard);
  assert.ok(ensureOpener(other, group));
  assert.is(opens(init, keyboard), 'allowed');
  map.close();
  map = other;
});

test('a major that the kernel chose later is guarded from then on, and what is granted of it opened', () => {
  const late = { major: 241, minor: 1000 };
  within(scratch, (directory) => makeNode(directory, '241-1000', { ...late, uid: 0, gid: 0, mode: 0o600 }));
  detachAll(group);
  assert.is(opens(init, late), 'allowed');
  map.cover(late.major);
  assert.is(opens(init, late), 'denied');
  assert.is(opens(init, keyboard), 'allowed', 'the grants stay');
  attachEngine(group);
  map.grant(cgroupId(group), late, map.generation(late));
  assert.is(opens(init, late), 'denied', 'the engine says no');
  assert.ok(ensureOpener(map, group));
  assert.is(opens(init, late), 'allowed');
  map.cover(242);
  assert.ok(ensureOpener(map, group), 'an opener of fewer majors is renewed');
  assert.is(idsOn(root).length, 1);
  map.deny(cgroupId(group), late);
  assert.is(opens(init, late), 'denied');
});

test('an agent that starts again guards such a major from the first moment, also when nothing of it is granted', () => {
  const late = { major: 241, minor: 1000 };
  detachAll(group);
  const next = DeviceMap.open({ cgroupRoot: root });
  map.close();
  map = next;
  assert.ok(map.majors.includes(late.major));
  assert.is(opens(init, late), 'denied');
  assert.not.ok(map.majors.includes(242), 'nothing of it was ever granted');
});

test('what an engine attaches again is opened again', () => {
  detachAll(group);
  attachEngine(group);
  assert.is(opens(init, keyboard), 'denied');
  assert.ok(ensureOpener(map, group));
  assert.is(opens(init, keyboard), 'allowed');
  assert.is(idsOn(group).length, 1);
});

test('the program of a slice further up is opened for the container alone: its siblings get no further than before', () => {
  detachAll(group);
  const slice = join(root, 'machine.slice');
  const [payload, sibling] = [join(slice, 'payload'), join(slice, 'sibling')];
  for (const directory of [slice, payload, sibling]) mkdirSync(directory);
  attachEngine(slice);
  map.guard(cgroupId(payload));
  map.grant(cgroupId(payload), keyboard, map.generation(keyboard));
  assert.is(opens(payload, keyboard), 'denied', 'the slice says no');
  for (const at of cgroupsBelow(root, payload)) ensureOpener(map, at);
  assert.is(opens(payload, keyboard), 'allowed');
  assert.is(opens(payload, mouse), 'denied');
  assert.is(opens(sibling, keyboard), 'denied', 'what the slice forbids to others, it still does');
  map.deny(cgroupId(payload), keyboard);
  map.unguard(cgroupId(payload));
  for (const directory of [payload, sibling, slice]) rmdirSync(directory);
});

test('an engine that attached its program alone is opened in the same way', () => {
  attachEngine(group, true);
  assert.is(opens(init, keyboard), 'denied');
  assert.ok(ensureOpener(map, group));
  assert.is(opens(init, keyboard), 'allowed');
  assert.is(idsOn(group).length, 1);
  detachAll(group);
});

test('a program with calls or maps of its own cannot be opened, and that is said', () => {
  const program = bpf.load(
    bpf.programType.cgroupDevice,
    'engine',
    new Assembler().set(1, 1).call(123).set(0, 0).exit().build(),
  );
  within(group, (directory) => bpf.attach(directory, program));
  closeSync(program);
  assert.throws(() => ensureOpener(map, group), /uses maps or functions/);
  detachAll(group);
});

// As systemctl set-property and daemon-reload do: the new program is attached behind all others, then the former one is taken off.
function attachAgain(cgroup: string, former: number, minor?: number): number {
  const program = loadEngine(minor);
  within(cgroup, (directory) => {
    bpf.attach(directory, program);
    bpf.detach(directory, former);
  });
  closeSync(former);
  return program;
}

test('what systemd attaches again takes nothing away, not for a moment, and its rules are the ones in force', () => {
  map.deny(cgroupId(group), mouse);
  let program = loadEngine();
  within(group, (directory) => bpf.attach(directory, program));
  assert.is(opens(init, keyboard), 'denied', 'the engine says no');
  openDoors(map, group, init);
  assert.equal(namesOn(group), ['hotseat_first', 'engine']);
  assert.is(idsOn(group)[1], bpf.programInfo(program).id, 'the engine finds its own program');
  assert.is(opens(init, keyboard), 'allowed');
  for (const minor of [3, 5, 3]) {
    program = attachAgain(group, program, minor);
    assert.equal(namesOn(group), ['hotseat_first', 'engine']);
    assert.is(opens(init, keyboard), 'allowed');
    assert.is(opens(init, mouse), 'denied');
    assert.is(opens(init, { major: 1, minor: 3 }), minor === 3 ? 'allowed' : 'denied');
  }
  closeDoors(group);
  assert.equal(namesOn(group), ['engine']);
  assert.is(opens(init, keyboard), 'denied', 'the engine alone decides again');
  closeSync(program);
  detachAll(group);
});

test('a slice further up that begins to forbid takes nothing away, and its other groups get no further', () => {
  const slice = join(root, 'machine.slice');
  const [service, sibling] = [join(slice, 'one.service'), join(slice, 'sibling')];
  const payload = join(service, 'payload');
  for (const directory of [slice, service, payload, sibling]) mkdirSync(directory);
  attachEngine(service);
  map.guard(cgroupId(service));
  map.grant(cgroupId(service), keyboard, map.generation(keyboard));
  openDoors(map, service, payload);
  assert.is(opens(payload, keyboard), 'allowed');
  attachEngine(slice);
  assert.is(opens(payload, keyboard), 'allowed');
  assert.is(opens(payload, mouse), 'denied');
  assert.is(opens(sibling, keyboard), 'denied');
  openDoors(map, service, payload);
  assert.equal(namesOn(slice), ['engine'], 'nothing of ours is needed there');
  detachAll(service);
  openDoors(map, service, payload);
  assert.equal(namesOn(service), ['hotseat_first'], 'the slice alone keeps it shut');
  assert.is(opens(payload, keyboard), 'allowed');
  map.deny(cgroupId(service), keyboard);
  assert.is(opens(payload, keyboard), 'denied');
  map.unguard(cgroupId(service));
  for (const directory of [payload, service, sibling, slice]) rmdirSync(directory);
});

test('what the container itself forbids to its own parts stays forbidden', () => {
  const part = join(init, 'sandboxed.service');
  mkdirSync(part);
  attachEngine(group);
  openDoors(map, group, init);
  assert.is(opens(part, keyboard), 'allowed');
  attachEngine(part);
  assert.is(opens(part, keyboard), 'denied');
  assert.is(opens(init, keyboard), 'allowed');
  // crun has its own program between the container's group and init's.
  attachEngine(init);
  assert.is(opens(init, keyboard), 'denied');
  openDoors(map, group, init);
  assert.is(opens(init, keyboard), 'allowed');
  assert.is(opens(part, keyboard), 'denied');
  for (const at of [init, group]) closeDoors(at);
  rmdirSync(part);
  for (const at of [init, group]) detachAll(at);
});

/**
 * Starts a process in the container that opens two devices without a pause. `enough` ends it, and says how often it opened the
 * forbidden one, and was refused the other one.
 */
async function trying(forbidden: Number, granted: Number, cgroup = init): Promise<{ enough: () => Promise<string> }> {
  within(scratch, (directory) => {
    const { major, minor } = forbidden;
    rmSync(`${scratch}/${major}-${minor}`, { force: true });
    makeNode(directory, `${major}-${minor}`, { major, minor, uid: 0, gid: 0, mode: 0o600 });
  });
  const stop = `${scratch}/enough`;
  const script = `
import os, sys
opened, refused = 0, 0
print('up', flush=True)
while not os.path.exists('${stop}'):
    for _ in range(100):
        try:
            os.close(os.open('${scratch}/${forbidden.major}-${forbidden.minor}', os.O_RDONLY))
            opened += 1
        except PermissionError:
            pass
        try:
            os.close(os.open('${scratch}/${granted.major}-${granted.minor}', os.O_RDONLY))
        except PermissionError:
            refused += 1
        except OSError:
            pass
print(opened, 'opened', refused, 'refused')
`;
  const child = spawn('sh', ['-c', `echo $$ > ${cgroup}/cgroup.procs && exec python3 -c "$1"`, 'sh', script]);
  let said = '';
  child.stdout.on('data', (text: Buffer) => {
    said += String(text);
  });
  const ended = new Promise((resolve) => child.once('exit', resolve));
  await until('it to be at it', () => said.includes('up'));
  const enough = async (): Promise<string> => {
    writeFileSync(stop, '');
    await ended;
    rmSync(stop);
    return said.slice('up\n'.length).trim();
  };
  return { enough };
}

test('while the forerunner takes its place, the engine’s rules are in force at every moment', async () => {
  attachEngine(group);
  const thief = await trying({ major: 1, minor: 5 }, { major: 1, minor: 3 });
  for (let times = 0; times < 300; times++) {
    openDoors(map, group, init);
    assert.is(namesOn(group)[0], 'hotseat_first');
    closeDoors(group);
    assert.equal(namesOn(group), ['engine']);
    await setImmediate();
  }
  assert.is(await thief.enough(), '0 opened 0 refused');
  detachAll(group);
});

test('while a larger map takes the place of a smaller one, what is granted opens at every moment, and nothing else', async () => {
  const top = join(root, 'upgrade');
  const [payload, inside] = [join(top, 'payload'), join(top, 'payload/init.scope')];
  mkdirSync(inside, { recursive: true });
  const [granted, forbidden] = [
    { major: 1, minor: 7 },
    { major: 1, minor: 3 },
  ];
  within(scratch, (directory) => makeNode(directory, '1-7', { ...granted, uid: 0, gid: 0, mode: 0o600 }));
  // It allows what is not granted, and denies what is.
  attachEngine(payload);
  const opened = (entries: number) => DeviceMap.open({ cgroupRoot: top, majors: [1], entries });
  let now = opened(8);
  now.guard(cgroupId(payload));
  now.grant(cgroupId(payload), granted, now.generation(granted));
  openDoors(now, payload, inside);
  const thief = await trying(forbidden, granted, inside);
  for (let entries = 16; entries <= 8192; entries *= 2) {
    const next = opened(entries);
    // The forerunner still looks into the former map.
    await setTimeout(20);
    openDoors(next, payload, inside);
    now.close();
    now = next;
    await setTimeout(20);
  }
  assert.is(await thief.enough(), '0 opened 0 refused');
  // A device that goes before the forerunner was renewed: the kernel says so in the larger map.
  const last = opened(16_384);
  last.grant(0n, granted, last.generation(granted) + 1n);
  assert.is(opens(inside, granted), 'denied');
  last.remove();
  for (const one of [now, last]) one.close();
  for (const directory of [inside, payload, top]) rmdirSync(directory);
  rmSync(`${scratch}/1-7`);
});

test('an agent that ended in the middle of it leaves nothing that stays, and no rule is missing', () => {
  const look = (names: readonly string[]): void => {
    openDoors(map, group, init);
    assert.equal(namesOn(group), names);
    assert.is(opens(init, keyboard), 'allowed');
    assert.is(opens(init, { major: 1, minor: 3 }), 'allowed');
    assert.is(opens(init, { major: 1, minor: 5 }), 'denied');
  };
  const engine = loadEngine();
  const copy = loadEngine(3, 'hotseat_copy');
  within(group, (directory) => {
    for (const program of [engine, copy]) bpf.attach(directory, program);
    look(['hotseat_first', 'engine']);
    // When the engine's own was still to come back.
    bpf.attach(directory, copy);
    bpf.detach(directory, engine);
    look(['hotseat_first', 'hotseat_copy']);
  });
  for (const program of [engine, copy]) closeSync(program);
  detachAll(group);
});

test('after an agent that put itself before an engine’s program, that one stands alone again, behind ours', () => {
  attachEngine(group);
  ensureOpener(map, group);
  assert.equal(namesOn(group), ['hotseat_opener']);
  openDoors(map, group, init);
  assert.equal(namesOn(group), ['hotseat_first', 'engine']);
  assert.is(opens(init, keyboard), 'allowed');
  detachAll(group);
});

test('an opener on a slice that other seats may need stays, and one that an agent left beside its successor goes', () => {
  const slice = join(root, 'machine.slice');
  const payload = join(slice, 'payload');
  for (const directory of [slice, payload]) mkdirSync(directory);
  attachEngine(slice);
  attachEngine(payload);
  map.guard(cgroupId(payload));
  map.grant(cgroupId(payload), keyboard, map.generation(keyboard));
  for (const at of [slice, payload]) ensureOpener(map, at);
  // As when an agent ended between its two steps: the rules of the engine are there twice.
  attachEngine(payload);
  for (const _ of ['once', 'twice']) {
    openDoors(map, payload, payload);
    assert.equal([namesOn(slice), namesOn(payload)], [['hotseat_opener'], ['hotseat_first', 'engine']]);
    assert.is(opens(payload, keyboard), 'allowed');
    assert.is(opens(payload, mouse), 'denied');
  }
  map.deny(cgroupId(payload), keyboard);
  map.unguard(cgroupId(payload));
  for (const directory of [payload, slice]) rmdirSync(directory);
});

test('a program that stands alone gets none beside it', () => {
  attachEngine(group, true);
  openDoors(map, group, init);
  assert.equal(namesOn(group), ['hotseat_opener']);
  assert.is(opens(init, keyboard), 'allowed');
  closeDoors(group);
  assert.equal(namesOn(group), ['engine']);
  detachAll(group);
});

test('a program that comes to stand alone below the forerunner puts openers in its place, and no moment is without either', async () => {
  attachEngine(group);
  openDoors(map, group, init);
  const client = await trying({ major: 1, minor: 5 }, keyboard);
  for (let times = 0; times < 100; times++) {
    within(init, (directory) => {
      const all = bpf.load(bpf.programType.cgroupDevice, 'all', new Assembler().set(0, 1).exit().build());
      bpf.attachAlone(directory, all, 0);
      closeSync(all);
    });
    openDoors(map, group, init);
    assert.equal([namesOn(group), namesOn(init)], [['hotseat_opener'], ['hotseat_opener']]);
    detachAll(init);
    openDoors(map, group, init);
    assert.equal(namesOn(group), ['hotseat_first', 'engine']);
    await setImmediate();
  }
  assert.is(await client.enough(), '0 opened 0 refused');
  detachAll(group);
});

test('without any program of others there is none of ours', () => {
  openDoors(map, group, init);
  assert.equal(namesOn(group), []);
});

test('a container so deep that the guard would not see it is refused', () => {
  const deep = join(root, ...Array.from({ length: deepest + 1 }, () => 'x'));
  assert.throws(
    () => ensureOpener(map, deep),
    (error: unknown) => error instanceof OpenerError,
  );
});

test('guarded as deep as the limit allows', () => {
  // The root of this test is itself one level below the hierarchy's.
  const path = join(root, ...Array.from({ length: deepest - 1 }, () => 'x'));
  mkdirSync(path, { recursive: true });
  map.guard(cgroupId(path));
  const found = opens(path, keyboard);
  map.unguard(cgroupId(path));
  for (let at = path; at !== root; at = join(at, '..')) rmdirSync(at);
  assert.is(found, 'denied');
});

test('a map of many thousand entries is read whole', () => {
  for (let minor = 0; minor < 4000; minor++)
    map.grant(1n, { major: 116, minor }, map.generation({ major: 116, minor }));
  const count = map.grants().get(1n)?.size;
  map.purge(new Set([cgroupId(group)]));
  assert.is(count, 4000);
  assert.is(opens(init, keyboard), 'allowed', 'what lives was kept');
  assert.equal([...map.grants().keys()], [cgroupId(group)]);
});

test('a map without room says so; a larger one takes its place, with all that was granted, and what went meanwhile is void', () => {
  const top = join(root, 'larger');
  mkdirSync(top);
  const small = DeviceMap.open({ cgroupRoot: top, entries: 6 });
  const id = cgroupId(group);
  const [stays, goes] = [keyboard, mouse];
  small.guard(id);
  const generation = small.generation(goes);
  small.grant(id, stays, small.generation(stays));
  assert.throws(
    () => small.grant(id, goes, generation),
    /^the map of grants is full: it has room for 6 entries, up to three for each/,
  );
  small.unguard(id);
  small.grant(id, goes, generation);
  const [guard] = idsOn(top);

  let watched = 0;
  const watch = (): void => {
    watched += 1;
    // As the withdrawing program does to the former map: the device went after it was copied.
    small.grant(0n, goes, generation + 1n);
  };
  const large = DeviceMap.open({ cgroupRoot: top, entries: 64, watch });
  assert.is(watched, 1);
  assert.is(idsOn(top).length, 1);
  assert.is.not(idsOn(top)[0], guard, 'the guard looks into the larger map');
  assert.equal([...(large.grants().get(id) ?? [])].sort(), [
    ['13:1000', true],
    ['13:1001', false],
  ]);
  large.guard(id);
  const again = DeviceMap.open({ cgroupRoot: top, entries: 64, watch });
  assert.is(watched, 1, 'one that has the room stays');
  assert.equal(again.read().length, large.read().length);
  large.remove();
  for (const one of [small, large, again]) one.close();
  rmdirSync(top);
});

test('whoever runs a seat without being root opens nothing of it from outside, and the rest as ever', () => {
  const [other, before] = [1002, 1003].map((minor) => ({ major: 13, minor })) as [Number, Number];
  within(scratch, (directory) => {
    for (const number of [other, before])
      makeNode(directory, `13-${number.minor}`, { ...number, uid: 0, gid: 0, mode: 0o666 });
  });
  chmodSync(join(scratch, '13-1000'), 0o666);
  const outside = join(root, 'session');
  mkdirSync(outside);
  const as = (uid: number, number: Number, cgroup = outside) => {
    const node = `${scratch}/${number.major}-${number.minor}`;
    const script = `echo $$ > ${cgroup}/cgroup.procs && exec setpriv --reuid=${uid} --clear-groups cat ${node}`;
    const { stderr } = spawnSync('sh', ['-c', script], { encoding: 'utf8', env: { ...process.env, LC_ALL: 'C' } });
    return stderr.includes('No such device or address') ? 'allowed' : 'denied';
  };
  assert.is(as(4711, keyboard), 'allowed', 'before he runs a seat');
  map.grant(cgroupId(group), before, map.generation(before));
  map.deny(cgroupId(group), before);
  map.restrict([
    { first: 4711, last: 4711 },
    { first: 3_000_000_000, last: 3_000_065_535 },
  ]);
  for (const uid of [4711, 3_000_000_000, 3_000_065_535]) assert.is(as(uid, keyboard), 'denied', String(uid));
  for (const uid of [4710, 4712, 2_999_999_999, 3_000_065_536, 0]) assert.is(as(uid, keyboard), 'allowed', String(uid));
  assert.is(as(4711, other), 'allowed', 'what no seat was ever granted');
  assert.is(as(4711, before), 'denied', 'what a seat had before he ran one');
  detachAll(group);
  assert.is(as(4711, keyboard, init), 'allowed', 'in the container that has it');
  map.grant(cgroupId(group), other, map.generation(other));
  map.deny(cgroupId(group), other);
  assert.is(as(4711, other), 'denied', 'what a seat had once');
  // Another device has the number by now: wherever the user starts a process, and also before a seat has the device.
  map.grant(0n, other, map.generation(other) + 1n);
  const places = ['user.slice/session-1.scope', 'system.slice/cron.service', 'system.slice/own.service'];
  for (const place of places) {
    mkdirSync(join(root, place), { recursive: true });
    assert.is(as(4711, other, join(root, place)), 'denied', place);
    assert.is(as(4712, other, join(root, place)), 'allowed', place);
    rmdirSync(join(root, place));
  }
  map.grant(cgroupId(group), other, map.generation(other));
  assert.is(as(4711, other), 'denied', 'and when a seat has it');
  assert.is(as(4711, other, init), 'allowed', 'in the container that has it');
  map.deny(cgroupId(group), other);
  for (const place of ['user.slice', 'system.slice']) rmdirSync(join(root, place));
  // The next agent has not read its policy yet.
  const next = DeviceMap.open({ cgroupRoot: root });
  assert.is(as(4711, keyboard), 'denied');
  next.restrict([]);
  assert.is(as(4711, keyboard), 'allowed');
  next.close();
  rmdirSync(outside);
});

test.run();
