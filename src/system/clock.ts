import type { Clock, Millis } from "../foundation/time.ts";

/** Node fires a longer timer after 1 ms; a one-year certificate must re-arm instead. */
const LONGEST_TIMER: Millis = 2 ** 31 - 1;

export const realClock: Clock = {
  monotonic: () => performance.now(),
  wall: () => new Date(),
  after(delay, fire) {
    let timer: NodeJS.Timeout;
    const arm = (left: Millis): void => {
      const now = Math.min(left, LONGEST_TIMER);
      timer = setTimeout(() => (left > now ? arm(left - now) : fire()), Math.max(0, now));
    };
    arm(delay);
    return () => clearTimeout(timer);
  },
};
