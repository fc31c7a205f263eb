// A descriptor that cannot be taken back is cut off: the driver of its device is unbound and bound again, in a sysfs of
// files.

import { execFileSync, spawn } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { rebind } from '../../agent/kernel/rebind.js';
import { hands } from './hands.js';
import { unshared } from './unshared.js';
import { until } from './until.js';

unshared(import.meta.url);

test.before(() => {
  execFileSync('mount', ['-t', 'tmpfs', 'tmpfs', '/sys']);
});

/** A device with a driver; answers with the texts that are written to that driver. */
function driven(device: string, driver: string): () => string[] {
  const at = join('/sys/bus/drivers', driver);
  for (const path of [device, at]) mkdirSync(path, { recursive: true });
  for (const file of ['unbind', 'bind']) writeFileSync(join(at, file), '');
  symlinkSync(at, join(device, 'driver'));
  return () => ['unbind', 'bind'].map((file) => readFileSync(join(at, file), 'utf8'));
}

test('a PS/2 keyboard: the driver of its port', () => {
  const port = '/sys/devices/platform/i8042/serio0';
  const said = driven(port, 'atkbd');
  const unit = join(port, 'input/input3');
  mkdirSync(unit, { recursive: true });
  assert.is(rebind(unit, 'input'), 'serio0');
  assert.equal(said(), ['serio0', 'serio0']);
});

test('a PS/2 keyboard whose driver does not let go stays, with the reason', () => {
  const port = '/sys/devices/platform/i8042/serio1';
  driven(port, 'psmouse');
  const unit = join(port, 'input/input4');
  mkdirSync(unit, { recursive: true });
  execFileSync('mount', ['--bind', '-o', 'ro', '/sys/bus/drivers/psmouse', '/sys/bus/drivers/psmouse']);
  assert.throws(() => rebind(unit, 'input'), /EROFS.*psmouse\/unbind/);
  execFileSync('umount', ['/sys/bus/drivers/psmouse']);
});

test('a driver that takes for ever to let go holds up nobody, and the device gets it back when that is done', async () => {
  const port = '/sys/devices/platform/i8042/serio3';
  driven(port, 'slow');
  const unit = join(port, 'input/input6');
  mkdirSync(unit, { recursive: true });
  rmSync('/sys/bus/drivers/slow/unbind');
  execFileSync('mkfifo', ['/sys/bus/drivers/slow/unbind']); // who writes waits for a reader
  const { namespaces, effects } = hands(1000);
  const why = await effects.rebind(unit, 'input').catch((error: Error) => error.message);
  // Nobody kills a helper between the two.
  namespaces.close();
  const bound = () => readFileSync('/sys/bus/drivers/slow/bind', 'utf8');
  assert.is(bound(), '');
  spawn('cat', ['/sys/bus/drivers/slow/unbind'], { stdio: 'ignore' });
  await until('the driver to be back', () => bound() === 'serio3');
  assert.match(why, /^rebind of devices of nobody took over 1000 ms$/);
});

test('a sound card on PCI is on nothing that can be bound again: nothing is done, and that is the reason', () => {
  const device = '/sys/devices/pci0000:00/0000:00:1b.0';
  const said = driven(device, 'snd_hda_intel');
  const unit = join(device, 'sound/card0');
  mkdirSync(unit, { recursive: true });
  assert.throws(() => rebind(unit, 'snd'), /card0 is on no USB device, HID device or PS\/2 port/);
  assert.equal(said(), ['', '']);
});

test('a USB sound card: the whole device is let in again', () => {
  const device = '/sys/devices/pci0000:00/usb1/1-2';
  const unit = join(device, '1-2:1.0/sound/card1');
  mkdirSync(unit, { recursive: true });
  // Each of its interfaces has such a file as well.
  for (const at of [device, join(device, '1-2:1.0')]) writeFileSync(join(at, 'authorized'), '');
  writeFileSync(join(device, 'idVendor'), '0d8c\n');
  assert.is(rebind(unit, 'snd'), '1-2');
  assert.is(readFileSync(join(device, 'authorized'), 'utf8'), '1');
  assert.is(readFileSync(join(device, '1-2:1.0/authorized'), 'utf8'), '');
});

test.run();
