import { basename } from 'node:path';
import { Document } from 'yaml';
import * as z from 'zod';
import { type Ancestor, attributeNames, type Device, numberText, parseNumber, type Unit } from '../core/device.js';
import type { Diagnostic, Place } from '../core/policy.js';
import { unitFrom, unitOf } from '../core/units.js';
import { printDocument } from './print.js';
import { readYaml } from './yaml.js';

const syspath = z
  .string()
  .regex(/^\/sys\/devices(\/(?!\.\.?(\/|$))[^/]+)+$/, 'is no path of a device: write it as below /sys/devices')
  .max(1024)
  .describe('The path of the device in sysfs, below `/sys/devices`.');

const attributes = z
  .record(z.string(), z.string().max(1024))
  .superRefine((given, context) => {
    for (const key of Object.keys(given)) {
      if (attributeNames.includes(key)) continue;
      const message = `is no attribute that can be matched: use ${attributeNames.join(', ')}`;
      context.addIssue({ code: 'custom', path: [key], message });
    }
  })
  .optional()
  .describe('The attributes in sysfs that policies can match, without trailing white space.');

const device = z.strictObject({
  syspath,
  subsystem: z.enum(['input', 'sound', 'drm']).describe("The device's subsystem."),
  sysname: z.string().max(256).describe('The name that the kernel gave it: the last part of the path.'),
  node: z
    .string()
    .regex(/^\/dev\/(input|snd|dri)\/[^/]+$/, 'is no node of these subsystems: write it as /dev/input/event3')
    .optional()
    .describe('Its node below `/dev`; heads such as `input7` have none.'),
  number: z
    .string()
    .regex(/^\d{1,7}:\d{1,7}$/, 'is no device number: write it as 13:67')
    .optional()
    .describe("Major and minor of the node, as sysfs' `dev` files have them."),
  properties: z
    .record(z.string(), z.string().max(16_384))
    .optional()
    .describe(
      'Its udev properties, as `udevadm info` shows them. The seat that `loginctl attach` named is `HOTSEAT_ADMIN_SEAT` here; `ID_SEAT` is the seat that the agent made of it.',
    ),
  attributes,
  tags: z.array(z.string().max(256)).max(256).optional().describe('Its udev tags.'),
  links: z.array(z.string().max(1024)).max(256).optional().describe('Symbolic links to its node, absolute.'),
});

const ancestor = z.strictObject({
  syspath,
  subsystem: z.string().max(256).optional().describe('Its subsystem, if it has one.'),
  driver: z.string().max(256).optional().describe('Its driver, if it has one.'),
  attributes,
});

/** A unit as the agent knew it, in a file: for tests of policies, and for reports of bugs. */
export const fixtureFile = z
  .strictObject({
    format: z.enum(['1']).describe('The version of this format.'),
    devices: z.array(device).min(1).max(256).describe('All devices of one unit; one of them is its head.'),
    ancestors: z.array(ancestor).max(64).optional().describe('The parents of the head in sysfs, nearest first.'),
  })
  .describe('A recorded device, as `hotseat record` prints it. Tests of policies use such files.');

export type Fixture = z.infer<typeof fixtureFile>;

/** A unit in the form of a file; fields without a value are left out. */
export function fixtureOf({ head, nodes }: Unit): Fixture {
  const devices = nodes.includes(head) ? nodes : [head, ...nodes];
  return {
    format: '1',
    devices: devices.map(({ syspath, subsystem, sysname, node, number, properties, attributes, tags, links }) => ({
      syspath,
      subsystem: subsystem as Fixture['devices'][number]['subsystem'],
      sysname,
      ...(node === undefined ? {} : { node }),
      ...(number === undefined ? {} : { number: numberText(number) }),
      ...filled('properties', sorted(properties)),
      ...filled('attributes', attributes),
      ...(tags.length === 0 ? {} : { tags: [...tags] }),
      ...(links.length === 0 ? {} : { links: [...links] }),
    })),
    ...(head.ancestors.length === 0
      ? {}
      : {
          ancestors: head.ancestors.map(({ syspath, subsystem, driver, attributes }) => ({
            syspath,
            ...(subsystem === undefined ? {} : { subsystem }),
            ...(driver === undefined ? {} : { driver }),
            ...filled('attributes', attributes),
          })),
        }),
  };
}

const filled = <K extends string>(key: K, record: Readonly<Record<string, string>>) =>
  (Object.keys(record).length === 0 ? {} : { [key]: { ...record } }) as { [key in K]?: Record<string, string> };

const sorted = (record: Readonly<Record<string, string>>): Record<string, string> =>
  Object.fromEntries(Object.entries(record).sort(([a], [b]) => (a < b ? -1 : 1)));

/** A recorded unit as YAML. */
export const formatFixture = (fixture: Fixture): string => printDocument(new Document(fixture));

/** A recorded unit's file, or everything that is wrong with it. */
export function parseFixture(
  file: string,
  text: string,
): { readonly unit: Unit } | { readonly diagnostics: readonly Diagnostic[] } {
  const parsed = readYaml(file, text, fixtureFile);
  if ('diagnostics' in parsed) return parsed;
  const { value, place } = parsed;
  const [first] = value.devices;
  const id = first === undefined ? undefined : unitOf(first.subsystem, first.syspath);
  const diagnostics = [
    ...value.devices.flatMap((one, index): Diagnostic[] => {
      const wrong = faultOf(one, id);
      return wrong === undefined ? [] : [{ place: place(['devices', index, wrong.key]), ...wrong }];
    }),
    ...(value.ancestors ?? []).flatMap(({ syspath }, index): Diagnostic[] =>
      first?.syspath.startsWith(`${syspath}/`)
        ? []
        : [
            {
              place: place(['ancestors', index, 'syspath']),
              message: 'the device does not hang on this',
              remedy: 'keep only devices on its path',
            },
          ],
    ),
  ];
  if (diagnostics.length > 0 || id === undefined) return { diagnostics };
  const unit = unitFrom(id, devicesOf(value, id));
  return unit === undefined ? { diagnostics: [headless(place(['devices']))] } : { unit };
}

const headless = (place: Place): Diagnostic => ({
  place,
  message: 'the head of the unit is missing',
  remedy: 'add the device itself: inputN, the sound cardN, or the DRM cardN',
});

/** The reason why a device is no member of the unit, or no device. */
function faultOf(
  { syspath, subsystem, sysname, node, number }: Fixture['devices'][number],
  id: string | undefined,
): { readonly key: string; readonly message: string; readonly remedy: string } | undefined {
  if (unitOf(subsystem, syspath) === undefined) {
    return {
      key: 'syspath',
      message: 'no such device can be at a seat',
      remedy: 'record a device that hotseat devices lists',
    };
  }
  if (unitOf(subsystem, syspath) !== id) {
    return { key: 'syspath', message: 'the devices are not of one unit', remedy: 'write one file a unit' };
  }
  if (sysname !== basename(syspath).replaceAll('!', '/')) {
    return { key: 'sysname', message: '"sysname" is not the last part of the path', remedy: 'correct one of them' };
  }
  if ((node === undefined) === (number === undefined)) return undefined;
  return node === undefined
    ? { key: 'number', message: 'a number without a node', remedy: 'add "node"' }
    : { key: 'node', message: 'a node without a number', remedy: 'add "number"' };
}

function devicesOf({ devices, ancestors = [] }: Fixture, id: string): Device[] {
  const above = ancestors.map(
    ({ syspath, subsystem, driver, attributes = {} }): Ancestor => ({
      syspath,
      sysname: basename(syspath).replaceAll('!', '/'),
      subsystem,
      driver,
      attributes,
    }),
  );
  const head = devices.find(({ syspath }) => syspath === id);
  const below =
    head === undefined
      ? above
      : [
          {
            syspath: head.syspath,
            sysname: head.sysname,
            subsystem: head.subsystem,
            driver: undefined,
            attributes: head.attributes ?? {},
          },
          ...above,
        ];
  return devices.map(
    ({
      syspath,
      subsystem,
      sysname,
      node,
      number,
      properties = {},
      attributes = {},
      tags = [],
      links = [],
    }): Device => ({
      syspath,
      subsystem,
      sysname,
      devtype: properties['DEVTYPE'],
      node,
      number: number === undefined ? undefined : parseNumber(number),
      properties,
      tags,
      links,
      ancestors: syspath === id ? above : below,
      attributes,
    }),
  );
}
