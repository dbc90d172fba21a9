import type { Clock, Millis } from "../foundation/time.ts";

/** Named timers of one owner: arming a name again replaces it, and all end together. */
export class Timers {
  readonly #clock: Clock;
  readonly #armed = new Map<string, () => void>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  arm(name: string, delay: Millis, fire: () => void): void {
    this.disarm(name);
    const cancel = this.#clock.after(delay, () => {
      this.#armed.delete(name);
      fire();
    });
    this.#armed.set(name, cancel);
  }

  disarm(name: string): void {
    this.#armed.get(name)?.();
    this.#armed.delete(name);
  }

  disarmAll(): void {
    for (const name of this.#armed.keys()) this.disarm(name);
  }
}
