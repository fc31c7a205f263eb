import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { deviceTree } from '../../agent/cli/device-tree.js';
import { type Line, render } from '../../agent/cli/line.js';
import type { DeviceInfo } from '../../agent/control/messages.js';
import { controllerName, type UsbThing } from '../../agent/usb/topology.js';

const info = (port: string, device = `/sys/devices/${port}`): DeviceInfo => ({
  ...{ device, port, name: 'Keyboard', nodes: ['/dev/input/event3'], kinds: ['keyboard'], owner: 'left', rules: [] },
});
const plain = (port: string, functions: string[] = []): UsbThing => ({
  ...{ port, functions, name: 'Thing', ids: '0001:0002', sockets: undefined },
});
const hub = (port: string): UsbThing => ({ ...plain(port), sockets: 4 });
const text = (lines: readonly Line[]): string => lines.map((line) => render(line, false)).join('\n');
const usb = 'pci-0000:00:14.0-usb-0';

test('what hangs on a hub stands below it, in the order of the ports', () => {
  const things = [
    hub(`${usb}:2`),
    plain(`${usb}:2.10`, ['storage']),
    plain(`${usb}:2.9`),
    hub(`${usb}:10`),
    plain(`${usb}:11`),
  ];
  const infos = [info(`${usb}:2.9:1.0`), info('pci-0000:00:03.0')];
  assert.is(
    text(deviceTree(infos, things)),
    `pci-0000:00:03.0
  /dev/input/event3  Keyboard  keyboard: left
${usb}:2  Thing (0001:0002), hub with 4 ports
  ${usb}:2.9  Thing (0001:0002)
    /dev/input/event3  Keyboard  keyboard: left
  ${usb}:2.10  Thing (0001:0002), no seat can have its storage
${usb}:10  Thing (0001:0002), hub with 4 ports
${usb}:11  Thing (0001:0002), nothing that a seat can have`,
  );
});

test('both speeds of a socket stand side by side, and what is at it is told once', () => {
  const things = [hub(`${usb}:1`), hub(`${usb}:1`)];
  const lines = text(deviceTree([info(`${usb}:1.1:1.0`)], things)).split('\n');
  assert.is(lines.filter((line) => line.startsWith(`${usb}:1 `)).length, 2);
  assert.is(lines.filter((line) => line.includes('event3')).length, 1);
});

test('every device and every thing has its line, whatever hangs where', () => {
  const port = fc
    .array(fc.integer({ min: 1, max: 12 }), { minLength: 1, maxLength: 4 })
    .map((chain) => `${usb}:${chain.join('.')}`);
  fc.assert(
    fc.property(fc.uniqueArray(port, { maxLength: 8 }), fc.uniqueArray(port, { maxLength: 8 }), (hubs, leaves) => {
      const things = hubs.map(hub);
      const infos = leaves.map((at) => info(`${at}:1.0`));
      const lines = text(deviceTree(infos, things))
        .split('\n')
        .filter((line) => line !== '');
      for (const at of hubs) assert.is(lines.filter((line) => line.trimStart().startsWith(`${at}  Thing`)).length, 1);
      assert.is(lines.filter((line) => line.includes('/dev/input/event3')).length, leaves.length);
    }),
  );
});

test('a controller is named as ID_PATH names it', () => {
  const subsystems: Readonly<Record<string, string>> = {
    '/sys/devices/pci0000:00/0000:00:1c.0': 'pci',
    '/sys/devices/pci0000:00/0000:00:1c.0/0000:02:00.0': 'pci',
    '/sys/devices/platform/soc/fe9c0000.usb': 'platform',
    '/sys/devices/platform/fd500000.pcie/pci0000:00/0000:00:00.0/0000:01:00.0': 'pci',
    '/sys/devices/platform/fd500000.pcie/pci0000:00/0000:00:00.0': 'pci',
    '/sys/devices/platform/fd500000.pcie': 'platform',
  };
  const name = (path: string) => controllerName(path, (at) => subsystems[at]);
  assert.is(name('/sys/devices/pci0000:00/0000:00:1c.0/0000:02:00.0'), 'pci-0000:02:00.0');
  assert.is(name('/sys/devices/platform/soc/fe9c0000.usb'), 'platform-fe9c0000.usb');
  assert.is(
    name('/sys/devices/platform/fd500000.pcie/pci0000:00/0000:00:00.0/0000:01:00.0'),
    'platform-fd500000.pcie-pci-0000:01:00.0',
  );
  assert.is(name('/sys/devices/virtual/nothing'), undefined);
});

test.run();
