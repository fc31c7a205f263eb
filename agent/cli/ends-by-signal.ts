/** Aborted by SIGINT or SIGTERM, which then end nothing else: a verb that goes on until it is told to stop ends well. */
export function endsBySignal(): AbortController {
  const stop = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => stop.abort());
  return stop;
}
