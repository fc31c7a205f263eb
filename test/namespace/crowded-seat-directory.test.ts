// Root of a privileged container lifts the limits of its seat's directory, and puts very many files into it.

import { execFileSync } from 'node:child_process';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { SeatDirectory } from '../../agent/seat/directory.js';
import { unshared } from './unshared.js';

unshared(import.meta.url);

const directories = 200;
const files = 2000;

const fill = `
import os, sys
os.chdir(sys.argv[1])
open('seed', 'w').close()
for one in range(${directories}):
    os.mkdir('d%d' % one)
    for count in range(${files}):
        os.link('seed', 'd%d/%d' % (one, count))
`;

test('to read it takes no longer, however much is in there: the rest is removed another time', () => {
  execFileSync('mount', ['-t', 'tmpfs', 'tmpfs', '/run']);
  const directory = new SeatDirectory('left');
  execFileSync('mount', ['-o', 'remount,size=2g,nr_inodes=0', directory.path]);
  execFileSync('python3', ['-c', fill, `${directory.path}/dev/input`]);
  const began = performance.now();
  directory.read();
  const ms = performance.now() - began;
  directory.close();
  assert.ok(ms < 1000, `${ms} ms`);
});

test.run();
