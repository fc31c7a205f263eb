// Root in a privileged container remounts its view of the seat's directory, takes our files out of it and fills it.

import { execFileSync } from 'node:child_process';
import { existsSync, lstatSync, mkdirSync, readdirSync, rmSync, statfsSync, symlinkSync, writeFileSync } from 'node:fs';
import { pino } from 'pino';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { mountPoints } from '../../agent/kernel/mount.js';
import { compose } from '../../agent/policy/load.js';
import { SeatDirectory } from '../../agent/seat/directory.js';
import { seatRoot } from '../../agent/seat/layout.js';
import { DeviceTable } from '../../agent/udev/table.js';
import { standInController } from './stand-in-controller.js';
import { unshared } from './unshared.js';

unshared(import.meta.url);

const view = '/run/view';
const warnings: { msg: string; seat?: string }[] = [];

test.before(() => {
  execFileSync('mount', ['-t', 'tmpfs', 'tmpfs', '/run']);
  mkdirSync(view);
});

/** The grafts of a container, made writable there; `spoil` is a shell script of its root. */
function spoilt(seat: string, spoil: () => void): void {
  new SeatDirectory(seat).close();
  execFileSync('mount', ['--bind', `${seatRoot(seat)}/udev`, view]);
  execFileSync('mount', ['-o', 'remount,bind,ro', view]);
  execFileSync('mount', ['-o', 'remount,bind,rw', view]);
  spoil();
}

function fill(): void {
  for (let made = 0; ; made++) {
    try {
      writeFileSync(`${view}/x${made}`, '');
    } catch (error) {
      assert.is((error as NodeJS.ErrnoException).code, 'ENOSPC');
      assert.ok(made > 1000);
      return;
    }
  }
}

const withoutData = (): void => {
  rmSync(`${view}/data`, { recursive: true });
  fill();
};

test('a seat directory that is beyond use is set aside, and a fresh one mounted in its place', () => {
  spoilt('evil', withoutData);
  const directory = new SeatDirectory('evil');
  assert.match(directory.setAside ?? '', /ENOSPC/);
  assert.equal(readdirSync(directory.path).sort(), ['dev', 'udev']);
  assert.equal([...directory.read().records.keys()], []);
  directory.writeRecord({ id: 'c13:64', text: 'V:1\n', tags: ['seat'] });
  directory.close();
  assert.ok(statfsSync(directory.path).ffree > 1000, 'there is room again');
  assert.is(mountPoints('self').filter(({ target }) => target === directory.path).length, 1);
  assert.ok(existsSync(`${view}/x0`), 'the container keeps what it has spoilt');
  assert.is(new SeatDirectory('evil').setAside, undefined, 'a good one is left as it is');
  execFileSync('umount', [view]);
});

test('an agent that starts serves every seat, whether it still is one or was', () => {
  spoilt('evil', withoutData);
  new SeatDirectory('good').close();
  const log = pino({ level: 'warn' }, { write: (line: string) => warnings.push(JSON.parse(line) as { msg: string }) });
  for (const seats of [['evil', 'good'], ['good']]) {
    const house = standInController(log, new DeviceTable());
    const texts = seats.map((seat) => ({
      name: `${seat}.yaml`,
      text: JSON.stringify({ seat, container: { engine: 'lxc', name: seat }, devices: [] }),
    }));
    const loaded = compose(texts, 'unversioned', 'test');
    if (!loaded.ok) throw new Error(JSON.stringify(loaded.diagnostics));
    assert.equal([...house.adopt(loaded.policy).keys()].sort(), ['evil', 'good']);
  }
  assert.is(warnings.filter(({ msg, seat }) => /beyond use/.test(msg) && seat === 'evil').length, 1);
});

/** A user who may remount the file system can lift its limits (tmpfs(5)), and nest directories without end. */
const endless = `
import os, sys
os.chdir(sys.argv[1])
for count in range(6000):
    open('x%d' % count, 'w').close()
os.mkdir('deep')
os.chdir('deep')
for _ in range(20000):
    os.mkdir('d')
    os.chdir('d')
`;

test('directories without end keep a seat from nothing, and what is too much in them stays', () => {
  spoilt('deep', () => {
    execFileSync('mount', ['-o', 'remount,nr_inodes=0,size=0', view]);
    execFileSync('python3', ['-c', endless, `${view}/data`]);
    execFileSync('python3', ['-c', endless, `${view}/tags`]);
  });
  const directory = new SeatDirectory('deep');
  directory.writeRecord({ id: 'c13:64', text: 'V:1\n', tags: ['seat'] });
  for (let look = 0; look < 3; look++) assert.ok(directory.read().records.size <= 4096);
  directory.removeRecord('c13:64');
  assert.not(existsSync(`${view}/data/c13:64`));
  assert.ok(existsSync(`${view}/data/deep/d/d/d/d/d/d/d/d/d/d`), 'nobody goes after it');
  directory.close();
  execFileSync('umount', [view]);
});

test('a link in the place of what the container’s programs look for is not followed', () => {
  spoilt('link', () => {
    rmSync(`${view}/control`);
    symlinkSync('/etc/passwd', `${view}/control`);
  });
  new SeatDirectory('link').close();
  assert.ok(lstatSync(`${view}/control`).isFile());
  execFileSync('umount', [view]);
});

test.run();
