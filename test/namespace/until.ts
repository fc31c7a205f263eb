/** Waits until something is so, at most 10 s. */
export async function until(what: string, check: () => boolean): Promise<void> {
  const end = Date.now() + 10_000;
  while (!check()) {
    if (Date.now() > end) throw new Error(`after 10 s still not: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
