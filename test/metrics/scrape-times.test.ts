import { describe, expect, test } from "vitest";
import { budgetOf, deadlines } from "../../src/metrics/scrape-sources.ts";

describe("the time for a page, of the scraper's time-out", () => {
  test.each([
    // Nothing said, or nothing that is a time: 10 s.
    [undefined, 9_500],
    ["", 9_500],
    ["0", 9_500],
    ["-1", 9_500],
    ["abc", 9_500],
    ["5s", 9_500],
    ["Infinity", 9_500],
    ["NaN", 9_500],
    // A twentieth less, and half a second at most.
    ["0.001", 0.95],
    ["0.5", 475],
    ["1", 950],
    ["9.999", 9_499.05],
    ["10", 9_500],
    [" 10 ", 9_500],
    ["30", 29_500],
    ["1e1", 9_500],
    // The status port ends every request after two minutes.
    ["110", 109_500],
    ["111", 109_500],
    ["300", 109_500],
    ["1e9", 109_500],
  ])("%s: %d ms", (header, budget) => {
    expect(budgetOf(header)).toBeCloseTo(budget, 6);
  });

  test.each(["0.001", "0.1", "1", "10", "60", "110", "119"])("%s s: it ends before the scraper gives up", (header) => {
    expect(budgetOf(header)).toBeLessThan(Number(header) * 1_000);
    expect(budgetOf(header)).toBeGreaterThan(Math.min(110_000, Number(header) * 1_000) * 0.94);
  });
});

describe("the time of each source, of a second", () => {
  const table: readonly (readonly [
    count: number,
    limits: readonly (readonly [deadline: number, answerBy: number])[],
  ])[] = [
    [0, []],
    [1, [[1_000, 1_000]]],
    [
      2,
      [
        [900, 450],
        [1_000, 1_000],
      ],
    ],
    [
      3,
      [
        [800, 400],
        [900, 450],
        [1_000, 1_000],
      ],
    ],
    [
      5,
      [
        [600, 300],
        [700, 350],
        [800, 400],
        [900, 450],
        [1_000, 1_000],
      ],
    ],
    // All together leave half of it: a twentieth to each.
    [10, [...Array(10).keys()].map((i) => [550 + i * 50, i === 9 ? 1_000 : 275 + i * 25] as const)],
  ];

  test.each(table)("%i sources", (count, limits) => {
    const given = deadlines(count, 1_000).map(({ deadline, answerBy }) => [deadline, answerBy].map(Math.round));
    expect(given).toEqual(limits);
  });

  test.each([1, 2, 3, 7, 10, 50, 200])(
    "%i sources: none may take more than all, nor leave the next one nothing",
    (count) => {
      const all = deadlines(count, 1_000);
      for (const [i, { deadline, answerBy }] of all.entries()) {
        const before = all[i - 1]?.deadline ?? 499;
        expect(deadline).toBeGreaterThan(before);
        expect(deadline).toBeLessThanOrEqual(1_000);
        expect(answerBy).toBeLessThanOrEqual(deadline);
        // Whoever says nothing leaves half of its time to those behind it.
        if (i < count - 1) expect(answerBy).toBeCloseTo(deadline / 2, 6);
      }
      expect(all.at(-1)).toEqual({ deadline: 1_000, answerBy: 1_000 });
    },
  );
});
