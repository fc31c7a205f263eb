export const start = (): Promise<unknown> => import('../../holder/holder.js');

/** It opens its socket as soon as it is loaded: its parts alone. */
export async function warm(): Promise<void> {
  await import('../../holder/holdings.js');
  await import('../../holder/seats.js');
}
