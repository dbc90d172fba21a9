/** A stream of chance that a seed repeats (mulberry32). */
export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** 0 <= x < 1. */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let t = this.#state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  }

  /** A whole number from `from` to `to`, both included. */
  between(from: number, to: number): number {
    return from + Math.floor(this.next() * (to - from + 1));
  }

  /** One of them, each as likely as its weight. */
  pick<T extends { readonly weight: number }>(all: readonly T[]): T {
    let left = this.next() * all.reduce((sum, { weight }) => sum + weight, 0);
    for (const one of all) {
      left -= one.weight;
      if (left < 0) return one;
    }
    throw new Error("nothing to choose from");
  }
}
