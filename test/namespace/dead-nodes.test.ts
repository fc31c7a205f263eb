// However a node goes, nobody opens it who kept a descriptor of its path (O_PATH).

import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { linkSync, mkdirSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { NodeSpec } from '../../agent/core/step.js';
import { putAway, SeatDirectory } from '../../agent/seat/directory.js';
import { unshared } from './unshared.js';

unshared(import.meta.url);

/** Whose node it is at first; in no seat's container, so that the node's own permissions alone count. */
const user = 65534;
const full: NodeSpec = {
  ...{ class: 'input', name: 'event7', number: { major: 1, minor: 7 } },
  ...{ uid: user, gid: user, mode: 0o600 },
};
const children: ChildProcess[] = [];
let seats = 0;

test.before(() => {
  execFileSync('mount', ['-t', 'tmpfs', 'tmpfs', '/run']);
});
test.after(() => {
  for (const child of children) child.kill('SIGKILL');
});

/** A process of that user with a descriptor of a path; the function asks it to open the node by that. */
async function keeper(path: string): Promise<() => Promise<string | undefined>> {
  const script = `import os, sys
path = os.open(sys.argv[1], os.O_PATH)
os.setgroups([])
os.setgid(${user})
os.setuid(${user})
print('ready', flush=True)
for line in sys.stdin:
    try:
        os.close(os.open(f'/proc/self/fd/{path}', os.O_RDWR))
        print('opened', flush=True)
    except PermissionError:
        print('refused', flush=True)`;
  const child = spawn('python3', ['-c', script, path], { stdio: ['pipe', 'pipe', 'inherit'] });
  children.push(child);
  const lines = createInterface(child.stdout)[Symbol.asyncIterator]();
  const next = async (): Promise<string | undefined> => (await lines.next()).value as string | undefined;
  assert.is(await next(), 'ready');
  return () => {
    child.stdin.write('try\n');
    return next();
  };
}

/** A seat with that node, and who has kept its path. */
async function seat() {
  const directory = new SeatDirectory(`seat${++seats}`);
  directory.makeNode(full);
  const input = join(directory.path, 'dev/input');
  const ask = await keeper(join(input, full.name));
  assert.is(await ask(), 'opened', 'while it is there: else this shows nothing');
  return { directory, input, ask };
}

test('a node that is removed', async () => {
  const { directory, ask } = await seat();
  directory.removeNode('input', 'event7');
  assert.is(await ask(), 'refused');
});

test('a node that is made again in its own place, with another owner or mode', async () => {
  const { directory, input, ask } = await seat();
  directory.makeNode({ ...full, mode: 0o640 });
  const { uid, mode } = statSync(join(input, 'event7'));
  assert.equal([uid, mode & 0o7777], [user, 0o640]);
  assert.is(await ask(), 'refused');
});

test('a node that its container has given another name, or another place, or a second name', async () => {
  const moves: readonly ((input: string) => void)[] = [
    (input) => renameSync(`${input}/event7`, `${input}/.event7`),
    (input) => {
      mkdirSync(`${input}/its/own`, { recursive: true });
      renameSync(`${input}/event7`, `${input}/its/own/event7`);
    },
    (input) => {
      linkSync(`${input}/event7`, `${input}/.event7`);
      rmSync(`${input}/event7`);
    },
  ];
  for (const move of moves) {
    const { directory, input, ask } = await seat();
    move(input);
    directory.read();
    assert.is(await ask(), 'refused');
  }
});

test('a node in whose place something else is put', async () => {
  const { directory, input, ask } = await seat();
  mkdirSync(`${input}/by-id`);
  renameSync(`${input}/event7`, `${input}/by-id/keyboard`);
  directory.makeLink({ class: 'input', name: 'by-id/keyboard', node: 'event7' });
  assert.is(await ask(), 'refused');
});

test('a node in a tree that is set aside, or put away at the end', async () => {
  const aside = await seat();
  aside.directory.close();
  const data = join(aside.directory.path, 'udev/data');
  rmSync(data, { recursive: true });
  writeFileSync(data, '');
  execFileSync('chattr', ['+i', data]);
  assert.ok(new SeatDirectory(aside.directory.seat).setAside);
  assert.is(await aside.ask(), 'refused');

  const atEnd = await seat();
  atEnd.directory.close();
  putAway(atEnd.directory.path);
  assert.is(await atEnd.ask(), 'refused');
});

test.run();
