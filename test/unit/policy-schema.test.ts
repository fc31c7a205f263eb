import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { parse } from 'yaml';
import { z } from 'zod';
import { type Definition, definitions, jsonSchema } from '../../agent/policy/json-schema.js';
import { reference } from '../../agent/policy/reference.js';
import { schemasAt } from '../../agent/policy/shape.js';
import { checkout, hotseat } from './hotseat.js';

test('the schema and the reference in the repository are those that the definition makes', async () => {
  for (const [file, ...options] of [['seat.schema.json'], ['REFERENCE.md', '--markdown']] as const) {
    const { stdout, exitCode } = await hotseat('schema', ...options);
    assert.is(exitCode, 0);
    const kept = readFileSync(join(checkout, 'policies', file), 'utf8');
    assert.is(`${stdout}\n`, kept, `run: hotseat schema ${options.join(' ')} > policies/${file}`);
  }
});

test('an editor says of a bad file that it is bad', () => {
  const schema = z.fromJSONSchema(jsonSchema('seat') as Parameters<typeof z.fromJSONSchema>[0]);
  const seat = (match: string, more = '') =>
    `seat: left\ncontainer: { engine: lxc, name: left }\ndevices:\n  - label: one\n    match: ${match}\n${more}`;
  const fine = (text: string) => schema.safeParse(parse(text)).success;
  assert.ok(fine(seat('{ ID_MODEL_ID: 0012, ID_BUS: null, port: pci-1 }', '    share: true\n')));
  for (const text of [
    seat('{ prot: pci-1 }'),
    seat('{ kind: keybord }'),
    seat('{ kind: [mouse, keybord] }'),
    seat('{ subsystem: usb }'),
    seat('{ HOTSEAT_SEAT: x }'),
    seat('{ ID_MODEL_FROM_DATABASE: x }'),
    seat('{ attr: { power/control: auto } }'),
    seat('{ not: { not: { kind: mouse } } }'),
    seat('{ ID_MODEL: [] }'),
    seat('{ kind: mouse }', '    share: maybe\n'),
    seat('{ kind: mouse }', '    shared: true\n'),
    seat('{ kind: mouse }').replace('lxc', 'vm'),
    'seat: left\ndevices: []\n',
  ])
    assert.not.ok(fine(text), text);
});

test('every key has a meaning, and stands in the reference', () => {
  const text = reference();
  const walk = (schema: z.core.$ZodType, path: string[]): void => {
    for (const here of schemasAt(schema, [])) {
      if (here instanceof z.ZodArray) walk(here.def.element, path);
      if (!(here instanceof z.ZodObject)) continue;
      for (const [key, member] of Object.entries(here.shape as Record<string, z.core.$ZodType>)) {
        if (path.at(-1) === 'not') continue;
        assert.match(text, new RegExp(`^\\| \`${[...path, key].join('\\.')}\` \\| [^|]+ \\| [^|]{5,} \\|$`, 'm'));
        walk(member, [...path, key]);
      }
    }
  };
  for (const definition of Object.values(definitions)) walk(definition, []);
});

test('the verb: every kind of file, the reference, and what it does not know', async () => {
  for (const name of Object.keys(definitions) as Definition[]) {
    const { stdout } = await hotseat('schema', name);
    assert.equal(JSON.parse(stdout), JSON.parse(JSON.stringify(jsonSchema(name))));
  }
  assert.match((await hotseat('schema', '--markdown')).stdout, /^# The files of a policy\n\n## Seat files\n/);
  const unknown = await hotseat('schema', 'chair');
  assert.is(unknown.exitCode, 2);
  assert.match(unknown.stderr, /no file of the kind "chair": seat, host, tests, device/);
});

test.run();
