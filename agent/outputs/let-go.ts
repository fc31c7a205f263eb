import { existsSync, rmSync } from 'node:fs';
import type { HolderState } from '../holder/messages.js';
import { HolderLink } from './holder-link.js';

/** Longest that the holder may take to let go, ms. */
const patience = 5000;

/**
 * Has the holder let go of all cards, and take back all their leases: for a release. `marker`: a file that exists while
 * it may have any. Rejects when that has not happened within 5 s.
 */
export async function letGo(marker: string): Promise<void> {
  if (!existsSync(marker)) return;
  await new Promise<void>((resolve, reject) => {
    const end = (error?: Error): void => {
      clearTimeout(timer);
      link.close();
      if (error === undefined) resolve();
      else reject(error);
    };
    const isEmpty = (state: HolderState | undefined) => state === undefined || state.cards.length === 0;
    // Where there is no holder, there is nothing that it holds.
    const link = new HolderLink({ state: (state) => void (isEmpty(state) && end()) });
    const timer = setTimeout(() => end(new Error(`the holder has not let go within ${patience} ms`)), patience);
    link.want({ cards: [], sockets: [] });
  });
  rmSync(marker, { force: true });
}
