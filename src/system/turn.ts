/** Resolves when whatever is ready now has been looked at once: on loopback, connections that were begun are there. */
export function turnOfTheLoop(): Promise<void> {
  // The first one fires before the next look at what is ready, the second one behind it.
  return new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
}
