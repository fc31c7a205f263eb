/** Does something, and answers with how long everything else in this process waited at most meanwhile, ms. */
export async function longestWait(act: () => Promise<unknown>): Promise<number> {
  let longest = 0;
  let last = performance.now();
  const beat = setInterval(() => {
    longest = Math.max(longest, performance.now() - last);
    last = performance.now();
  }, 1);
  const began = performance.now();
  try {
    await act();
  } finally {
    clearInterval(beat);
  }
  const took = Math.round(performance.now() - began);
  console.log(`it took ${took} ms, nobody else waited over ${Math.round(longest)} ms`);
  return longest;
}
