import { expect, test } from "vitest";
import { generatedCase, problemsOf } from "./generated-case.ts";

/** Here a taste; test/faults/metrics/generated.test.ts runs 100,000. */
const CASES = 800;

test(`${CASES} generated sets of pages: valid, colliding, hostile`, () => {
  const tempers = new Map<string, number>();
  for (let seed = 1; seed <= CASES; seed++) {
    const one = generatedCase(seed);
    tempers.set(one.temper, (tempers.get(one.temper) ?? 0) + 1);
    expect({ seed, problems: problemsOf(one) }).toEqual({ seed, problems: [] });
  }
  expect([...tempers.keys()].sort()).toEqual(["colliding", "hostile", "valid"]);
});
