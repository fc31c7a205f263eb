// The cost of a script on a udev rule, natively, where LXC is installed: a container of its own, with the machine's
// programs, and the commands that such scripts are made of.
//
// peers.js COUNT SAY: prints one line of JSON. SAY is the compiled lab/say.c.

import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { unshared } from '../../namespace/unshared.js';

/** Times of one way, ms: of the commands alone, the least that it takes to start a program from here taken off. */
export type Peers = readonly { readonly what: string; readonly times: readonly number[] }[];

if (process.env['HOTSEAT_TEST_INNER'] === undefined)
  process.env['HOTSEAT_BENCH_PEERS'] = process.argv.slice(2).join(' ');
// lxc-device goes to the network of pid 1 and back, which has to be in reach.
unshared(import.meta.url, '--pid', '--fork', '--kill-child', '--mount-proc', '--net');
const [count = '10', say = ''] = (process.env['HOTSEAT_BENCH_PEERS'] ?? '').split(' ');

const name = `hotseat-bench-${process.ppid}`;
const at = mkdtempSync('/var/tmp/hotseat-bench-peers-');
const root = join(at, 'root');
const lxc = (program: string, ...words: string[]): string[] => [program, '-P', at, '-n', name, ...words];
const run = ([program = '', ...words]: readonly string[]): string =>
  execFileSync(program, words, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });

function start(): string {
  execFileSync('mount', ['-t', 'tmpfs', 'tmpfs', '/run']);
  execFileSync('umount', ['--recursive', '--lazy', '/sys/fs/cgroup']);
  execFileSync('mount', ['-t', 'cgroup2', 'cgroup2', '/sys/fs/cgroup']);
  for (const directory of ['usr', 'etc', 'proc', 'sys', 'dev', 'run', 'tmp'])
    mkdirSync(join(root, directory), { recursive: true });
  for (const link of ['bin', 'sbin', 'lib', 'lib64']) symlinkSync(`usr/${link}`, join(root, link));
  mkdirSync(join(at, name));
  const config = [
    `lxc.uts.name = ${name}`,
    `lxc.rootfs.path = dir:${root}`,
    'lxc.mount.entry = /usr usr none bind,ro 0 0',
    'lxc.mount.entry = tmpfs run tmpfs rw 0 0',
    'lxc.mount.auto = proc:mixed sys:ro cgroup:mixed',
    'lxc.net.0.type = empty',
    'lxc.apparmor.profile = unconfined',
    'lxc.tty.max = 0',
    'lxc.autodev = 1',
    'lxc.init.cmd = /bin/sleep 600',
    'lxc.cgroup2.devices.allow = c 1:3 rwm',
  ];
  writeFileSync(join(at, name, 'config'), `${config.join('\n')}\n`);
  run(lxc('lxc-start'));
  return run(lxc('lxc-info', '-pH')).trim();
}

/** How long a command takes, ms; its end is waited for. */
function timed([program = '', ...words]: readonly string[]): number {
  const began = process.hrtime.bigint();
  const { status, stderr, error } = spawnSync(program, words, {
    stdio: ['ignore', 'ignore', 'pipe'],
    encoding: 'utf8',
  });
  const took = Number(process.hrtime.bigint() - began) / 1e6;
  if (status !== 0) throw new Error(`${program} ${words.join(' ')}: ${error?.message ?? stderr}`);
  return took;
}

const times = (of: (index: number) => readonly string[]): number[] =>
  Array.from({ length: Number(count) }, (_, index) => of(index)).map(timed);

const pid = start();
try {
  const inside = `/proc/${pid}/root`;
  const record = join(at, 'record');
  writeFileSync(record, 'I:4711\nE:ID_INPUT=1\nE:ID_INPUT_KEY=1\nE:ID_INPUT_KEYBOARD=1\nV:1\n');
  const starting = Math.min(...times(() => ['true']));
  const net = (all: readonly number[]): number[] => all.map((ms) => ms - starting);
  // The number of /dev/null, which every machine has: what is measured is the same.
  const ways = [
    { title: 'lxc-device', words: (node: string) => lxc('lxc-device', 'add', node) },
    { title: 'lxc-attach mknod', words: (node: string) => lxc('lxc-attach', '--', 'mknod', node, 'c', '1', '3') },
  ];
  const peers: Peers = ways.flatMap(({ title, words }, way) => {
    // On the host there is a node of that name, as udevd has made one.
    const node = (index: number, kind: string): string => {
      const path = `/run/${kind}${way}-${index}`;
      execFileSync('mknod', [path, 'c', '1', '3']);
      return path;
    };
    const script = (command: readonly string[]): string =>
      [
        command.join(' '),
        `mkdir -p ${inside}/run/udev/data`,
        `cp ${record} ${inside}/run/udev/data/c1:3`,
        `exec ${say} ${pid} add /devices/bench ${command.at(-1)} 1 3`,
      ].join(' && ');
    return [
      { what: `${title}, bare`, times: net(times((index) => words(node(index, 'bare')))) },
      {
        what: `${title}, with record and message`,
        times: net(times((index) => ['sh', '-c', script(words(node(index, 'whole')))])),
      },
    ];
  });
  console.log(JSON.stringify(peers));
} finally {
  spawnSync('lxc-stop', ['-P', at, '-n', name, '-k'], { stdio: 'ignore' });
  rmSync(at, { recursive: true, force: true });
}
