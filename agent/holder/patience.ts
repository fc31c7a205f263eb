/** How long the holder waits for the kernel, ms. The agent waits longer for the holder. */
export const patience = 3000;

/** Longest that the name of an output takes, ms: the kernel asks the monitor. The agent waits longer. */
export const namePatience = 10_000;
