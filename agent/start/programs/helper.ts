export const start = (): Promise<unknown> => import('../../kernel/helper.js');

/** It leaves its service as soon as it is loaded: its parts alone. */
export async function warm(): Promise<void> {
  await import('../../kernel/fs.js');
  await import('../../kernel/local.js');
  await import('../../kernel/mount.js');
  await import('../../kernel/node-bind.js');
  await import('../../kernel/rings.js');
  await import('../../kernel/thread-facts.js');
  await import('../../kernel/execs.js');
  await import('../../kernel/take-back.js');
  await import('../../kernel/rebind.js');
  await import('../../kernel/holders.js');
}
