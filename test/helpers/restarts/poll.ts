import { ask } from "../proxy.ts";

/** An answer that was not as it should be. */
export interface BadLook {
  /** Milliseconds of the calendar. */
  readonly at: number;
  readonly text: string;
}

/** Looks at something again and again, each time after the one before is over and a while has passed. */
export class Poll {
  readonly #look: () => Promise<string | undefined>;
  readonly #every: number;
  readonly #bad: BadLook[] = [];
  readonly #ended: Promise<void>;
  #looks = 0;
  #stopping = false;

  /** `look`: what is wrong now, or undefined; a rejection is wrong as well. */
  constructor(look: () => Promise<string | undefined>, every = 50) {
    [this.#look, this.#every] = [look, every];
    this.#ended = this.#run();
  }

  /** Resolves with what was wrong, of so many looks. */
  async stop(): Promise<{ readonly looks: number; readonly bad: readonly BadLook[] }> {
    this.#stopping = true;
    await this.#ended;
    return { looks: this.#looks, bad: this.#bad };
  }

  async #run(): Promise<void> {
    while (!this.#stopping) {
      this.#looks += 1;
      const text = await this.#look().catch(String);
      if (text !== undefined) this.#bad.push({ at: Date.now(), text });
      await new Promise((resolve) => setTimeout(resolve, this.#every));
    }
  }
}

/** A poll of one path that has to answer 200, on a fresh connection each time. */
export const pollOf = (port: number, path: string, every?: number): Poll =>
  new Poll(async () => {
    const { status, body } = await ask({ port }, path);
    return status === 200 ? undefined : `${status} ${body}`;
  }, every);

/** The longest time in which every look was bad: a gap between two good ones, ms. One bad look is a gap of 0. */
export function longestGap(bad: readonly BadLook[], every = 50): number {
  let [longest, since, last] = [0, Number.NEGATIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (const { at } of bad) {
    if (at - last > every * 3) since = at;
    last = at;
    longest = Math.max(longest, at - since);
  }
  return longest;
}
