/** What can be closed and tells when it is. */
interface Closable {
  once(event: "close", hear: () => void): unknown;
}

/** Calls `close` when the thing is still open after `delay` ms. Holds no process open. */
export function closeLater(thing: Closable, delay: number, close: () => void): void {
  const timer = setTimeout(close, delay);
  timer.unref();
  thing.once("close", () => clearTimeout(timer));
}
