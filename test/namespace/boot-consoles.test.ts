import { execFileSync, spawnSync } from 'node:child_process';
import { closeSync, existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { pino } from 'pino';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Consoles, restoreConsoles } from '../../agent/host/consoles.js';
import { getKeyboardMode, keyboardMode, openConsole } from '../../agent/kernel/vt.js';
import { runtime } from '../../agent/seat/layout.js';
import { unshared } from './unshared.js';

// The kernel's own consoles, where the machine has some: they are muted for a moment. With a /run of its own.
unshared(import.meta.url);

const script = resolve(import.meta.dirname, '../../../rules/boot-consoles');
const bootConsoles = (word: string) => spawnSync('perl', [script, word], { encoding: 'utf8', timeout: 20_000 });
const numbers = [1, 2, 3, 4, 5, 6];
const modes = (): number[] =>
  numbers.map((number) => {
    const fd = openConsole(number);
    try {
      return getKeyboardMode(fd);
    } finally {
      closeSync(fd);
    }
  });
const sysrq = () => (existsSync('/proc/sys/kernel/sysrq') ? readFileSync('/proc/sys/kernel/sysrq', 'utf8') : undefined);
const muted = numbers.map(() => keyboardMode.off);

test.before(() => {
  execFileSync('mount', ['-t', 'tmpfs', 'tmpfs', '/run']);
  mkdirSync(runtime);
});

if (existsSync('/dev/tty0')) {
  const before = modes();
  const sysrqBefore = sysrq();

  test('a boot mutes the consoles that have login prompts, or get them, and remembers how they were', () => {
    for (const _ of ['once', 'twice']) {
      const { status, stderr } = bootConsoles('mute');
      assert.is(status, 0, stderr);
      assert.equal(modes(), muted);
      assert.not.match(sysrq() ?? '0', /[1-9]/);
    }
    assert.is(bootConsoles('restore').status, 0);
    assert.equal(modes(), before);
    assert.is(sysrq(), sysrqBefore);
    assert.equal(readdirSync(runtime), []);
  });

  test('what a boot has muted is not given back for an agent that never came, and is for one that did', () => {
    bootConsoles('mute');
    restoreConsoles(undefined, { agentsOnly: true });
    assert.equal(modes(), muted);
    const agent = new Consoles({ log: pino({ level: 'silent' }) });
    agent.mute();
    agent.close();
    assert.equal(modes(), muted);
    restoreConsoles(undefined, { agentsOnly: true });
    assert.equal(modes(), before);
    assert.is(sysrq(), sysrqBefore);
  });

  test('by hand both are given back', () => {
    bootConsoles('mute');
    restoreConsoles();
    assert.equal(modes(), before);
    assert.is(sysrq(), sysrqBefore);
  });
}

test('a console that cannot be muted is named, each is tried, and nothing hangs', () => {
  execFileSync('mount', ['-t', 'tmpfs', 'tmpfs', '/dev']);
  const { status, stderr } = bootConsoles('mute');
  execFileSync('umount', ['/dev']);
  assert.is(status, 1);
  for (const number of numbers) assert.match(stderr, new RegExp(`^boot-consoles: tty${number}: No such file`, 'm'));
  assert.is(bootConsoles('restore').status, 0);
});

test('another word is no word', () => {
  assert.is.not(bootConsoles('open').status, 0);
});

test.run();
