/** How patient every wait of the tests is, in ms; one variable for slow machines. */
export const patience = Number(process.env["PILOTFISH_TEST_PATIENCE_MS"] ?? 30_000);

/**
 * Asks again and again until `fact` gives something else than undefined or false; fails with `what` and the last
 * error after `limit` ms. It looks every few milliseconds, and never sleeps for a fixed time.
 */
export async function eventually<T>(
  what: string,
  fact: () => Promise<T | undefined | false> | T | undefined | false,
  limit = patience,
): Promise<T> {
  const end = performance.now() + limit;
  let last: unknown;
  for (let wait = 2; ; wait = Math.min(wait * 1.5, 100)) {
    try {
      const value = await fact();
      if (value !== undefined && value !== false) return value;
      last = undefined;
    } catch (error) {
      last = error;
    }
    if (performance.now() > end) throw new Error(`not within ${limit} ms: ${what}`, { cause: last });
    await new Promise((resolve) => setTimeout(resolve, wait));
  }
}
