import { sharedSeat } from '../core/decide.js';
import { kindTests } from '../core/kind.js';
import { propertyKey } from '../core/match.js';
import type { Condition, Policy, Rule } from '../core/policy.js';
import { portPatterns } from '../core/port.js';

/**
 * A policy as udev rules, for a file that sorts after `72-seat-*` (what `loginctl attach` was told) and before
 * `73-seat-late` (which makes children inherit and grants `uaccess`). They set properties and take tags away; they run
 * nothing. Names that begin with a dot live for one event only and reach no database (udev(7)).
 */
export function compileRules(policy: Policy): string {
  const lines = [
    '# Made by Hotseat from its seat files; changes here are overwritten.',
    'ACTION=="remove", GOTO="hotseat_end"',
    'SUBSYSTEM!="input|sound|drm", GOTO="hotseat_end"',
    'SUBSYSTEM=="input", KERNEL!="input[0-9]*", GOTO="hotseat_child"',
    'SUBSYSTEM=="sound", KERNEL!="card[0-9]*", GOTO="hotseat_child"',
    'SUBSYSTEM=="drm", KERNEL=="card*-*", GOTO="hotseat_child"',
    '# What the admin said, here or further up, is kept before ours takes its place.',
    'ENV{ID_SEAT}=="", IMPORT{parent}="ID_SEAT"',
    'ENV{ID_SEAT}!="", ENV{HOTSEAT_ADMIN_SEAT}="$env{ID_SEAT}"',
  ];
  for (const { seat, rules } of policy.seats) {
    lines.push(`# ${seat}`);
    for (const rule of rules) lines.push(...compileRule(seat, rule));
  }
  lines.push('# One seat wants it, or several.');
  for (const { seat } of policy.seats) {
    const wants = `${env(mark(seat), '==', '1')}, `;
    lines.push(`${wants}${env('.HOTSEAT_HOST_SEAT', '==', '?*')}, ${env('.HOTSEAT_HOST_SEAT', '=', sharedSeat)}`);
    lines.push(`${wants}${env('.HOTSEAT_HOST_SEAT', '==', '')}, ${env('.HOTSEAT_HOST_SEAT', '=', `seat-${seat}`)}`);
  }
  lines.push(
    `${env('.HOTSEAT_HOST_SEAT', '==', '?*')}, ENV{HOTSEAT_SEAT}="$env{.HOTSEAT_HOST_SEAT}"`,
    'GOTO="hotseat_apply"',
    'LABEL="hotseat_child"',
    'IMPORT{parent}="HOTSEAT_SEAT"',
    'LABEL="hotseat_apply"',
    '# The host steps back: no seat of its own, no access for its users, no power key for logind.',
    'ENV{HOTSEAT_SEAT}=="?*", ENV{ID_SEAT}="$env{HOTSEAT_SEAT}", TAG-="uaccess", TAG-="power-switch"',
    'LABEL="hotseat_end"',
  );
  return `${lines.join('\n')}\n`;
}

/** Several lines where alternatives look at different keys: the first line that matches sets the mark. */
function compileRule(seat: string, rule: Rule): string[] {
  const alternatives = rule.conditions.reduce<string[][]>(
    (lines, condition) => lines.flatMap((line) => compileCondition(condition).map((tokens) => [...line, ...tokens])),
    [[]],
  );
  return alternatives.map((tokens) => [...tokens, env(mark(seat), '=', '1')].join(', '));
}

/** Alternatives of one condition, each a list of tokens that must all hold. */
function compileCondition(condition: Condition): string[][] {
  if (condition.on === 'attribute') return [[`ATTRS{${condition.key}}==${value(condition.patterns)}`]];
  const operator = condition.negate ? '!=' : '==';
  switch (condition.on) {
    case 'subsystem':
      return [[`SUBSYSTEM${operator}${value(condition.patterns)}`]];
    case 'sysname':
      return [[`KERNEL${operator}${value(condition.patterns)}`]];
    case 'property':
      return [[`ENV{${propertyKey(condition.key)}}${operator}${value(condition.patterns)}`]];
    case 'port':
      return [[`ENV{ID_PATH}${operator}${value(condition.patterns.flatMap(portPatterns))}`]];
    case 'kind': {
      const tokens = condition.patterns.map((kind) => {
        const test = kindTests[kind];
        return test.property === undefined
          ? `SUBSYSTEM${operator}"${test.subsystem}"`
          : env(test.property, operator, '1');
      });
      // "not a or b" is neither: one line. "a or b" is a line for each.
      return condition.negate ? [tokens] : tokens.map((token) => [token]);
    }
  }
}

const env = (key: string, operator: string, text: string): string => `ENV{${key}}${operator}${value([text])}`;

/** Seat names have no character that could not stand in a property's name, but for the hyphen. */
const mark = (seat: string): string => `.HOTSEAT_WANTED_${seat.replaceAll('-', '_')}`;

/**
 * A quoted value. The schema has refused what cannot be said; that nothing got past it is made sure of here, where
 * a quote or a newline would become another rule.
 */
function value(patterns: readonly string[]): string {
  for (const pattern of patterns) {
    if (/["|\\\p{Cc}]/u.test(pattern)) throw new Error(`not a value for a udev rule: ${JSON.stringify(pattern)}`);
  }
  return `"${patterns.join('|')}"`;
}
