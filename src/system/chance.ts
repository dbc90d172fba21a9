/** A number from 0 (included) to 1 (not included), for jitter; nothing secret is drawn from it. */
export const chance = (): number => Math.random();
