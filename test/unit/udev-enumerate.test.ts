import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { enumerate, type Roots } from '../../agent/udev/enumerate.js';

let base: string;
let roots: Roots;

function write(path: string, text: string): void {
  mkdirSync(dirname(join(base, path)), { recursive: true });
  writeFileSync(join(base, path), text);
}

function inClass(subsystem: string, devpath: string): void {
  mkdirSync(join(base, 'sys/class', subsystem), { recursive: true });
  symlinkSync(join(base, 'sys', devpath), join(base, 'sys/class', subsystem, devpath.split('/').at(-1) ?? ''));
}

const usb = 'devices/pci0000:00/usb1/1-2';
const head = `${usb}/1-2:1.0/input/input12`;

test.before.each(() => {
  base = mkdtempSync(join(tmpdir(), 'hotseat-udev-'));
  roots = { sys: join(base, 'sys'), data: join(base, 'data') };
  write(`sys/${usb}/uevent`, 'DEVTYPE=usb_device\n');
  write(`sys/${usb}/idVendor`, '046d\n');
  write(`sys/${usb}/product`, 'Key\x1b[2Jboard  \n');
  write(`sys/${usb}/manufacturer`, `${'M'.repeat(1000)}\n`);
  write(`sys/${head}/uevent`, 'PRODUCT=3/46d/c31c/110\nNAME="Keyboard"\nEV=120013\n');
  write(`sys/${head}/name`, 'Keyboard\n');
  write(`sys/${head}/event5/uevent`, 'MAJOR=13\nMINOR=69\nDEVNAME=input/event5\n');
  write(`sys/${head}/event5/dev`, '13:69\n');
  write('data/+input:input12', 'E:ID_INPUT=1\nE:ID_SERIAL=a=b\nG:seat\nQ:seat\nV:1\n');
  write(
    'data/c13:69',
    'S:input/by-id/usb-Keyboard\nI:1514605000\nE:ID_INPUT=1\nE:ID_INPUT_KEYBOARD=1\nG:old\nG:seat\nQ:seat\nV:1\n',
  );
  inClass('input', head);
  inClass('input', `${head}/event5`);
});
test.after.each(() => rmSync(base, { recursive: true }));

const byName = (name: string) => enumerate(roots).find(({ sysname }) => sysname === name);

test('a device is what sysfs and the database say', () => {
  const device = byName('event5');
  assert.is(device?.syspath, `/sys/${head}/event5`);
  assert.is(device?.node, '/dev/input/event5');
  assert.equal(device?.number, { major: 13, minor: 69 });
  assert.equal(device?.tags, ['seat']);
  assert.equal(device?.links, ['/dev/input/by-id/usb-Keyboard']);
  assert.is(device?.properties['USEC_INITIALIZED'], '1514605000');
  assert.is(device?.properties['ID_INPUT_KEYBOARD'], '1');
  // As in udevd's messages, so that a rule means the same for a plugged device and a found one.
  assert.is(device?.properties['DEVNAME'], '/dev/input/event5');
  assert.is(byName('input12')?.properties['ID_SERIAL'], 'a=b');
  assert.is(byName('input12')?.properties['NAME'], '"Keyboard"');
});

test('ancestors are told nearest first, with attributes that are short and hold no control characters', () => {
  const device = byName('event5');
  assert.equal(
    device?.ancestors.map(({ sysname }) => sysname),
    ['input12', '1-2'],
  );
  const parent = device?.ancestors[1];
  assert.is(parent?.syspath, `/sys/${usb}`);
  assert.is(parent?.attributes['idVendor'], '046d');
  assert.is(parent?.attributes['product'], 'Key\ufffd[2Jboard');
  assert.is(parent?.attributes['manufacturer']?.length, 256);
});

test('a device that udevd has not finished with is not there yet', () => {
  rmSync(join(base, 'data/c13:69'));
  assert.is(byName('event5'), undefined);
  assert.ok(byName('input12'));
  write('data/c13:69', '');
  assert.ok(byName('event5'), 'an empty entry is one');
});

test('a device cannot choose its seat, its node or its kind by a newline in its name', () => {
  const name =
    'x\nHOTSEAT_ADMIN_SEAT=seat-left\nID_SEAT=seat-left\nID_INPUT_KEYBOARD=1\nDEVNAME=input/event0\nMAJOR=13\nMINOR=64\nID_PATH=pci';
  write(`sys/${head}/uevent`, `PRODUCT=3/46d/c31c/110\nNAME="${name}"\nUNIQ="${name}"\n`);
  const device = byName('input12');
  assert.ok(device);
  assert.is(device.node, undefined);
  assert.is(device.number, undefined);
  for (const key of ['HOTSEAT_ADMIN_SEAT', 'ID_SEAT', 'ID_INPUT_KEYBOARD', 'DEVNAME', 'MAJOR', 'MINOR', 'ID_PATH']) {
    assert.not.ok(Object.hasOwn(device.properties, key), key);
  }
});

test('a link out of the devices is not followed, and a class that is missing is empty', () => {
  write('elsewhere/event9/uevent', 'MAJOR=13\nMINOR=69\nDEVNAME=input/event9\n');
  write('elsewhere/event9/dev', '13:69\n');
  symlinkSync(join(base, 'elsewhere/event9'), join(base, 'sys/class/input/event9'));
  assert.is(byName('event9'), undefined);
  assert.is(enumerate({ sys: join(base, 'none'), data: roots.data }).length, 0);
});

test('an attribute that cannot be read is not taken for missing, until somebody else has read it', () => {
  symlinkSync('uniq', join(base, 'sys', head, 'uniq'));
  mkdirSync(join(base, 'sys', head, 'id'));
  let known: Record<string, string> | undefined;
  const device = enumerate(roots, (syspath) => (syspath === `/sys/${head}` ? known : {})).find(
    ({ sysname }) => sysname === 'input12',
  );
  assert.equal(device?.unread, ['uniq']);
  assert.equal(device?.attributes, { name: 'Keyboard' });
  known = { name: 'Mouse', uniq: 'A1' };
  assert.is(device?.unread, undefined);
  assert.equal(device?.attributes, { name: 'Keyboard', uniq: 'A1' });
});

test.run();
