// The floors and walks of ARCHITECTURE.md, held against the source.

import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { checkout } from './hotseat.js';

const page = readFileSync(join(checkout, 'ARCHITECTURE.md'), 'utf8');
const sources = readdirSync(join(checkout, 'agent'), { recursive: true, encoding: 'utf8' })
  .filter((file) => file.endsWith('.ts') && !file.endsWith('.d.ts'))
  .map((file) => `agent/${file}`);

/**
 * The imports of each file, and the programs that it starts as a process: files of the agent by their path here,
 * anything else by its name.
 */
const imports = new Map(
  sources.map((file): [string, string[]] => {
    const text = readFileSync(join(checkout, file), 'utf8');
    const names = [...text.matchAll(/(?:\bfrom|\bimport\(|^import|new URL\() ?'([^']+)'/gm)].map(
      ([, name = '']) => name,
    );
    const path = (name: string) => normalize(join(dirname(file), name)).replace(/\.js$/, '.ts');
    return [file, names.map((name) => (name.startsWith('.') ? path(name) : name))];
  }),
);

/** `cli/` for a file in that folder, `main` for a file on its own. */
const roomOf = (file: string): string => {
  const [, room = '', ...rest] = file.split('/');
  return rest.length > 0 ? `${room}/` : room.replace(/\.ts$/, '');
};

const section = (title: string): string => page.split(`## ${title}\n`)[1]?.split('\n## ')[0] ?? '';
const floors = [...section('Floors').matchAll(/^\| `([^`]+)` \|/gm)].map(([, room = '']) => room);
const edges = [...imports].flatMap(([file, names]) =>
  names.filter((name) => name.startsWith('agent/')).map((name) => ({ file, name })),
);

test('every room has a floor, and every floor is a room', () => {
  assert.equal([...floors].sort(), [...new Set(sources.map(roomOf))].sort());
});

test('imports between rooms point downward only', () => {
  const upward = edges.filter(({ file, name }) => floors.indexOf(roomOf(name)) < floors.indexOf(roomOf(file)));
  assert.ok(edges.length > 500);
  assert.equal(
    upward.map(({ file, name }) => `${file} imports ${name}`),
    [],
  );
});

const clocks = /\b(process\.|Date\.now|new Date\(\)|performance\.|setTimeout\(|Math\.random)/;

test('the core is pure, and system calls are made in one room', () => {
  for (const [file, names] of imports) {
    const outside = names.filter((name) => !name.startsWith('agent/'));
    if (roomOf(file) === 'core/') {
      assert.equal(outside, [], file);
      const text = readFileSync(join(checkout, file), 'utf8');
      assert.not.match(text, clocks, file);
    }
    if (roomOf(file) !== 'kernel/') assert.not.ok(outside.includes('koffi'), `${file} makes system calls`);
  }
  assert.ok([...imports.values()].some((names) => names.includes('koffi')));
});

test('the room of the assignments knows, and does nothing', () => {
  const files = [...imports.keys()].filter((file) => roomOf(file) === 'assign/');
  assert.ok(files.length > 1);
  for (const file of files) {
    const text = readFileSync(join(checkout, file), 'utf8');
    // Types of others name what it is told; only what is pure is called.
    const called = [...text.matchAll(/^import (?!type )[^']*'([^']+)'/gm)].map(([, name = '']) => name);
    assert.equal(
      called.filter((name) => !/^(\.\.\/core\/|\.\/|node:path$)/.test(name)),
      [],
      file,
    );
    assert.not.match(text, clocks, file);
  }
});

test('every file that it names is there, and each file of a walk is next to one before it', () => {
  for (const [, file = ''] of page.matchAll(/`((?:agent|test)\/[^`]+\.ts)`/g)) {
    assert.ok(existsSync(join(checkout, file)), file);
  }
  const walks = section('Three walks').split('\n### ').slice(1);
  assert.is(walks.length, 3);
  for (const walk of walks) {
    const files = [...walk.matchAll(/^\d+\. `([^`]+)`/gm)].map(([, file = '']) => file);
    assert.ok(files.length > 5);
    for (const [index, file] of files.entries()) {
      const before = files.slice(0, index);
      const near = (other: string) => imports.get(other)?.includes(file) || imports.get(file)?.includes(other);
      assert.ok(index === 0 || before.some(near), `${file} is next to none of ${before.join(', ')}`);
    }
  }
});

/**
 * Files that the agent's main process loads, and that look into directories of processes in /proc, with the number of the lines that
 * do, and why nobody can make that process wait there. It would make everybody's keyboard wait. A fact that BPF tells
 * (`factsOf`) is asked of BPF first; procfs then stands in for it on kernels without BTF.
 */
const looksIntoProcesses: Readonly<Record<string, readonly [lines: number, why: string]>> = {
  'agent/engines/id-map.ts': [1, 'the maps of ids: at most 340 lines, and no lock of the process'],
  'agent/engines/monitor.ts': [1, 'the command line of a process of root’s, whose uid was asked before'],
  'agent/engines/process.ts': [
    5,
    'a daemon of root’s: its name takes no lock, the rest is asked of root’s processes outside of containers; facts',
  ],
  'agent/host/at-boot.ts': [1, 'the name of the first process of the PC'],
  'agent/kernel/cgroup.ts': [2, 'its group: one line for each hierarchy'],
  'agent/kernel/holders.ts': [8, 'the search for descriptors: only a helper runs it'],
  'agent/kernel/mount.ts': [1, 'the mounts of a container: only a helper reads them'],
  'agent/kernel/oom-score.ts': [2, 'the adjustment of the killer: a number without a lock of the process'],
  'agent/kernel/process-key.ts': [3, 'stands in for facts'],
  'agent/kernel/queued.ts': [1, 'a part of the search for descriptors'],
  'agent/kernel/real-uid.ts': [1, 'stands in for a fact'],
  'agent/kernel/statx.ts': [1, 'an open file of a process: a part of the search, and our own'],
  'agent/kernel/user-namespace.ts': [4, 'stand in for facts'],
  'agent/seat/deaf.ts': [
    2,
    'names, and the sockets of a network namespace: up to a limit, and without a lock of the process',
  ],
  'agent/seat/own-udev.ts': [2, 'names, and one that stands in for a fact'],
};

/** Files that a program loads, itself included, by the imports that are left when it runs. */
function loadedBy(program: string): Set<string> {
  const loaded = new Set([program]);
  for (const file of loaded) {
    const text = readFileSync(join(checkout, file), 'utf8');
    const runs = /(?:^(?:import|export) (?!type )[^;]*?\bfrom |^import |\bimport\()'(\.[^']+)'/gm;
    for (const [, name = ''] of text.matchAll(runs))
      loaded.add(normalize(join(dirname(file), name)).replace(/\.js$/, '.ts'));
  }
  return loaded;
}

test('the agent’s main process looks into directories of other processes only where that cannot make it wait', () => {
  const loaded = loadedBy('agent/main.ts');
  assert.ok(loaded.has('agent/engines/follower.ts') && !loaded.has('agent/kernel/helper.ts'));
  const found = [...loaded].flatMap((file): [string, number][] => {
    const code = readFileSync(join(checkout, file), 'utf8').replace(/\/\*[\s\S]*?\*\/|^\s*\/\/.*$/gm, '');
    const lines = code.split('\n').filter((line) => /\/proc\/(\$|\d)|'\/proc'/.test(line)).length;
    return lines === 0 ? [] : [[file, lines]];
  });
  assert.equal(
    Object.fromEntries(found.toSorted()),
    Object.fromEntries(Object.entries(looksIntoProcesses).map(([file, [lines]]) => [file, lines])),
    'a new look into a process: ask BPF (factsOf), or a helper, or say here why nobody can make us wait',
  );
});

test.run();
