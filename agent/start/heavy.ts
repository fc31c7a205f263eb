/**
 * The verbs that load packages, or the daemon. All others, and `help`, are a program that is a fifteenth as long: a container that
 * starts waits for `hotseat wait`.
 */
export const heavy: ReadonlySet<string> = new Set([
  ...['run', 'doctor', 'identify', 'record', 'report'],
  ...['check', 'test', 'fmt', 'schema'],
  ...['install', 'uninstall', 'release'],
]);
