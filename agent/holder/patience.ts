/** So long is waited for the kernel, ms. The agent waits longer for the holder. */
export const patience = 3000;
