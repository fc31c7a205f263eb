import type { Policy } from '../core/policy.js';

/** What is good policy and yet worth knowing, in words. */
export function notesOf({ seats }: Pick<Policy, 'seats'>): string[] {
  const users = new Map<string, string[]>();
  for (const { seat, container } of seats) {
    if (container.user !== undefined) users.set(container.user, [...(users.get(container.user) ?? []), seat]);
  }
  return [...users].flatMap(([user, theirs]) =>
    theirs.length < 2
      ? []
      : [
          `seats ${theirs.join(', ')} trust each other: ${user} runs their containers, and can do in each what the others can`,
        ],
  );
}
