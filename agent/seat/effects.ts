import { findHolders } from '../kernel/holders.js';
import { injectUevent, sendUevent } from '../kernel/netlink.js';
import { rebind } from './rebind.js';
import { revoke } from './revoke.js';

/**
 * Actions of a seat in the kernel beside its files, its grants and its container's namespaces: it finds the processes
 * that have a device open, takes that back, and speaks to listeners.
 */
export interface Effects {
  readonly findHolders: typeof findHolders;
  readonly revoke: typeof revoke;
  readonly rebind: typeof rebind;
  readonly sendUevent: typeof sendUevent;
  readonly injectUevent: typeof injectUevent;
}

/** This machine's kernel. */
export const effects: Effects = { findHolders, revoke, rebind, sendUevent, injectUevent };
