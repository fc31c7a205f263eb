import { readOptional } from '../kernel/read.js';
import { reader } from '../seat/accounts.js';

/** Number of a group of the host, by its own /etc/group (group(5)), read again; undefined when there is none. */
export const groupOnHost = (name: string): number | undefined => reader(readOptional('/etc/group'), (id) => id)(name);
