import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, mkdirSync, readFileSync, rmdirSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { execa } from 'execa';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import * as bpf from '../../agent/kernel/bpf.js';
import { Assembler } from '../../agent/kernel/bpf-asm.js';
import { Btf, typesIn } from '../../agent/kernel/btf.js';
import { cgroupRoot } from '../../agent/kernel/cgroup.js';
import { DeviceMap } from '../../agent/kernel/device-map.js';
import { SysError } from '../../agent/kernel/errors.js';
import { address, syscall } from '../../agent/kernel/libc.js';
import { vmlinux } from '../../agent/kernel/vmlinux.js';
import { devtOffset, ensureWithdraw, loadWithdraw } from '../../agent/kernel/withdraw.js';

test('what the verifier says is in the error', () => {
  // r0 is never set.
  const program = new Assembler().exit().build();
  assert.throws(
    () => bpf.load(bpf.programType.cgroupDevice, 'bad', program),
    (error: unknown) => error instanceof SysError && error.code === 'EACCES' && /R0 !read_ok/.test(error.message),
  );
});

test('a signal that comes while the verifier looks does not end the start of the agent', async () => {
  const load = `
    import { closeSync, writeSync } from 'node:fs';
    import * as bpf from ${JSON.stringify(import.meta.resolve('../../agent/kernel/bpf.js'))};
    import { Assembler } from ${JSON.stringify(import.meta.resolve('../../agent/kernel/bpf-asm.js'))};
    const program = new Assembler();
    for (let index = 0; index < 200; index++) program.set(0, 1);
    const instructions = program.exit().build();
    for (let count = 0; count < 3000; count++)
      closeSync(bpf.load(bpf.programType.cgroupDevice, 'signalled', instructions));
    writeSync(1, 'loaded');`;
  // A profiler asks for SIGPROF 2,000 times a second.
  const words = [
    '--cpu-prof',
    '--cpu-prof-dir=/dev/null',
    '--cpu-prof-interval=500',
    '--input-type=module',
    '--eval',
    load,
  ];
  const { stdout, stderr } = await execa(process.execPath, words, { reject: false, timeout: 60_000 });
  assert.is(stdout, 'loaded', stderr);
});

test('a jump without its label is a mistake of ours, not of the kernel', () => {
  assert.throws(() => new Assembler().jump('nowhere').build(), /no label nowhere/);
});

test('a hash: insert once, look up, remove, list', () => {
  const map = bpf.createHash('hotseat_test', 4, 8, 8);
  const key = Buffer.from([1, 2, 3, 4]);
  assert.ok(bpf.insert(map, key, Buffer.alloc(8, 7)));
  assert.not.ok(bpf.insert(map, key, Buffer.alloc(8, 9)));
  assert.equal(bpf.lookup(map, key, 8), Buffer.alloc(8, 7));
  const { count, keys, values } = bpf.elements(map, 4, 8, 8);
  assert.equal([count, keys.subarray(0, 4), values.subarray(0, 8)], [1, key, Buffer.alloc(8, 7)]);
  bpf.remove(map, key);
  bpf.remove(map, key);
  assert.is(bpf.lookup(map, key, 8), undefined);
  assert.is(bpf.elements(map, 4, 8, 8).count, 0);
  assert.is(bpf.mapName(map), 'hotseat_test');
  const again = bpf.mapById(bpf.mapId(map));
  closeSync(again);
  closeSync(map);
});

test('offsets come from the kernel’s own types', () => {
  const names = ['list_head', 'bpf_cgroup_dev_ctx', 'device', 'bpf_iter_task', 'no_such_type'];
  const btf = new Btf(typesIn(readFileSync('/sys/kernel/btf/vmlinux'), names));
  assert.is(btf.memberOffset('list_head', 'prev'), 8);
  assert.is(btf.memberOffset('bpf_cgroup_dev_ctx', 'minor'), 8);
  assert.is(btf.memberOffset('device', 'no_such_member'), undefined);
  assert.is(btf.memberOffset('no_such_type', 'prev'), undefined);
  assert.is(btf.offsetOf('list_head', 'prev'), 8);
  assert.throws(() => btf.offsetOf('device', 'no_such_member'), /does not describe device\.no_such_member/);
  assert.is(btf.memberOffset('task_struct', 'pid'), undefined, 'nobody asked for it');
  assert.ok((btf.functionId('bpf_iter_task') ?? 0) > 0);
  assert.is(btf.functionId('no_such_type'), undefined);
  assert.ok(devtOffset() > 0);
});

/** Calls labs(x) in libc for each line it is given, and says where labs is in the file of libc. */
const caller = `
import ctypes, os, sys
libc = ctypes.CDLL('libc.so.6')
libc.labs.argtypes, libc.labs.restype = [ctypes.c_void_p], ctypes.c_void_p
at = ctypes.cast(libc.labs, ctypes.c_void_p).value
for line in open('/proc/self/maps'):
    words = line.split()
    low, high = (int(part, 16) for part in words[0].split('-'))
    if low <= at < high: print(words[5], at - low + int(words[2], 16), flush=True)
for line in sys.stdin:
    libc.labs(int(line))
    print('called', flush=True)
`;

/** A program tied to the entry of a function of a user-space library, for a kernel without kprobes. */
function tieToUprobe(program: number, path: string, offset: bigint): number[] {
  const name = Buffer.from(`${path}\0`);
  const attributes = Buffer.alloc(128);
  attributes.writeUInt32LE(Number(readFileSync('/sys/bus/event_source/devices/uprobe/type', 'utf8')), 0);
  attributes.writeUInt32LE(attributes.length, 4);
  attributes.writeBigUInt64LE(address(name), 56);
  attributes.writeBigUInt64LE(offset, 64);
  const event = syscall('perf_event_open', path, attributes, -1, 0, -1, 8);
  return [bpf.linkPerfEvent(program, event), event, name.length > 0 ? program : -1];
}

test('the withdrawing program reads a number out of kernel memory and raises that number’s generation, and no other', async () => {
  if (process.arch !== 'x64') return;
  const root = join(cgroupRoot(), `hotseat-kernel-bpf-${process.pid}`);
  mkdirSync(root);
  const map = DeviceMap.open({ cgroupRoot: root });
  const child = spawn('python3', ['-c', caller], { stdio: ['pipe', 'pipe', 'inherit'] });
  const lines = createInterface(child.stdout)[Symbol.asyncIterator]();
  const call = async (value: bigint): Promise<void> => {
    child.stdin.write(`${value}\n`);
    assert.is((await lines.next()).value, 'called');
  };
  const leak = bpf.createHash('hotseat_leak', 8, 8, 1);
  const open: number[] = [leak];
  try {
    const [path, offset] = String((await lines.next()).value).split(' ') as [string, string];
    // Where the caller's task_struct is (bpf_get_current_task, helper 35): kernel memory whose content we know, a pid.
    bpf.insert(leak, Buffer.alloc(8), Buffer.alloc(8));
    const spy = new Assembler().call(35).move(6, 0).zero64(10, -8).setMap(1, leak).move(2, 10).add(2, -8).call(1);
    spy.ifEqual(0, 0, 'end').store64(0, 0, 6).label('end').set(0, 0).exit();
    const ties = tieToUprobe(bpf.load(bpf.programType.kprobe, 'spy', spy.build()), path, BigInt(offset));
    await call(0n);
    for (const fd of ties) closeSync(fd);
    const task = bpf.lookup(leak, Buffer.alloc(8), 8)?.readBigUInt64LE(0) ?? 0n;
    assert.ok(task > 0xffff_0000_0000_0000n, 'a kernel address');
    const pid = vmlinux().memberOffset('task_struct', 'pid') ?? 0;
    // A "struct device" whose devt is the caller's pid.
    const device = task + BigInt(pid) - BigInt(devtOffset());
    const number = { major: (child.pid ?? 0) >> 20, minor: (child.pid ?? 0) & 0xfffff };
    const neighbour = { ...number, minor: number.minor + 1 };
    const before = map.generation(number);
    const beside = map.generation(neighbour);
    open.push(...tieToUprobe(loadWithdraw(map), path, BigInt(offset)));
    await call(device);
    assert.is(map.generation(number), before + 1n);
    await call(device);
    assert.is(map.generation(number), before + 2n);
    assert.is(map.generation(neighbour), beside);
    const entries = map.read().length;
    await call(0n);
    assert.is(map.read().length, entries, 'a number that nobody was granted is not remembered');
  } finally {
    child.stdin.end();
    if (child.exitCode === null) await once(child, 'exit');
    for (const fd of open) closeSync(fd);
    map.remove();
    map.close();
    rmdirSync(root);
  }
});

test('where the kernel cannot withdraw by itself, it is said why', () => {
  const root = join(cgroupRoot(), `hotseat-kernel-bpf-${process.pid}`);
  mkdirSync(root);
  const map = DeviceMap.open({ cgroupRoot: root });
  const before = readFileSync('/proc/self/mountinfo', 'utf8').includes(' /sys/fs/bpf ');
  if (!before) {
    const answer = ensureWithdraw(map);
    assert.is(answer.active, false);
    if (!answer.active) assert.match(answer.reason, '/sys/fs/bpf is no bpf file system');
  }
  map.remove();
  map.close();
  rmdirSync(root);
});

test.run();
