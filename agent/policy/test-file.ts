import * as z from 'zod';
import type { Diagnostic, Place } from '../core/policy.js';
import { list, oneOrMore } from './schema.js';
import { readYaml } from './yaml.js';

const seat = z.string().min(1).max(64);

const expectation = z
  .strictObject({
    seat: oneOrMore(seat).optional().describe('The seat that gets it, or all seats that share it.'),
    rule: oneOrMore(z.string().min(1).max(120))
      .optional()
      .describe('The label of the rule that wins; a list where several seats share the device.'),
    host: z.enum(['true']).optional().describe('No seat wants it: it stays with the host.'),
    conflict: z
      .array(seat)
      .min(2)
      .max(32)
      .optional()
      .describe('The seats that want it; because they do, none of them gets it.'),
  })
  .superRefine(({ seat, rule, host, conflict }, context) => {
    const said = [seat, host, conflict].filter((one) => one !== undefined).length;
    const complain = (message: string) => context.addIssue({ code: 'custom', message });
    if (said !== 1) complain('must say one thing: use { seat: NAME }, { host: true } or { conflict: [NAME, NAME] }');
    else if (rule !== undefined && seat === undefined) complain('names a rule without a seat: add "seat"');
  });

const one = z.strictObject({
  name: z.string().min(1).max(200).optional().describe('The purpose of the test, for people.'),
  pc: z
    .string()
    .min(1)
    .max(64)
    .optional()
    .describe("The host name for which seat files are chosen by their `hosts`; this PC's without it."),
  device: z
    .string()
    .regex(
      /^(?!\.)[A-Za-z0-9._-]+(\/(?!\.)[A-Za-z0-9._-]+)*$/,
      'is no name of a file beside this one: write it as devices/keyboard.yaml',
    )
    .max(200)
    .describe('A file that `hotseat record` made, relative to this one.'),
  expect: expectation.describe('The verdict that the policy must give for the device.'),
});

/** `tests/*.yaml` beside the seat files. */
export const testFile = z
  .array(one)
  .min(1)
  .max(1000)
  .describe('Tests of a policy, a file `tests/*.yaml` beside the seat files: they say where each device must go.');

/** The verdict that a test expects for a device. */
export type Expectation =
  | { readonly kind: 'seat'; readonly seats: readonly string[]; readonly rules: readonly string[] | undefined }
  | { readonly kind: 'host' }
  | { readonly kind: 'conflict'; readonly seats: readonly string[] };

export interface PolicyTest {
  readonly place: Place;
  readonly name: string | undefined;
  readonly pc: string | undefined;
  readonly device: string;
  /** Where the device is named, for a file that is not there. */
  readonly devicePlace: Place;
  readonly expect: Expectation;
}

/** A test file's text as tests, or everything that is wrong with it. */
export function parseTests(
  file: string,
  text: string,
): { readonly tests: readonly PolicyTest[] } | { readonly diagnostics: readonly Diagnostic[] } {
  const parsed = readYaml(file, text, testFile);
  if ('diagnostics' in parsed) return parsed;
  const { value, place } = parsed;
  return {
    tests: value.map(({ name, pc, device, expect }, index) => ({
      place: place([index]),
      name,
      pc,
      device,
      devicePlace: place([index, 'device']),
      expect: toExpectation(expect),
    })),
  };
}

function toExpectation({ seat, rule, conflict }: z.infer<typeof expectation>): Expectation {
  if (seat !== undefined) {
    return { kind: 'seat', seats: list(seat), rules: rule === undefined ? undefined : list(rule) };
  }
  return conflict === undefined ? { kind: 'host' } : { kind: 'conflict', seats: conflict };
}
