import type { Clock, Millis } from "../../src/foundation/time.ts";

/** Time that moves only when a test says so. Every test that uses it ends with `pending() === 0`. */
export class FakeClock implements Clock {
  #now = 0;
  #due: { readonly at: Millis; readonly fire: () => void }[] = [];

  monotonic(): Millis {
    return this.#now;
  }

  wall(): Date {
    return new Date(Date.UTC(2030, 0, 1) + this.#now);
  }

  after(delay: Millis, fire: () => void): () => void {
    const entry = { at: this.#now + delay, fire };
    this.#due.push(entry);
    return () => {
      this.#due = this.#due.filter((one) => one !== entry);
    };
  }

  /** Timers still armed. */
  pending(): number {
    return this.#due.length;
  }

  /** Moves on by `by` ms and fires what falls due on the way, in order. */
  advance(by: Millis): void {
    const end = this.#now + by;
    for (;;) {
      const next = this.#due.filter((one) => one.at <= end).sort((a, b) => a.at - b.at)[0];
      if (next === undefined) break;
      this.#due = this.#due.filter((one) => one !== next);
      this.#now = next.at;
      next.fire();
    }
    this.#now = end;
  }
}
