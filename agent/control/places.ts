import { basename, dirname, join } from 'node:path';

/**
 * Root's own socket, beside the one for everybody: a crowd at that one does not keep root waiting. Nobody else gets into
 * its directory.
 */
export const rootSocketOf = (path: string): string => join(dirname(path), 'root', basename(path));
