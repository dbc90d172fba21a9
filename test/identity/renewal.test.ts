import { describe, expect, test } from "vitest";
import { renewalDelay, retryDelay } from "../../src/identity/renewal.ts";

const at = (ms: number): Date => new Date(Date.UTC(2030, 0, 1) + ms);
const HOUR = 3_600_000;

describe("when to renew", () => {
  const day = { notBefore: at(0), notAfter: at(24 * HOUR) };
  test.each([
    ["fresh", day, 0, 0.5, 0, 12 * HOUR],
    ["jitter up: earlier", day, 0, 0.5, 0.01, 11.76 * HOUR],
    ["jitter down: later", day, 0, 0.5, -0.01, 12.24 * HOUR],
    ["due", day, 12 * HOUR, 0.5, 0, 0],
    ["long overdue: a suspended machine", day, 100 * HOUR, 0.5, 0, 0],
    ["the clock was set back", day, -6 * HOUR, 0.5, 0, 18 * HOUR],
    ["ratio 0: at the end", day, 0, 0, 0, 24 * HOUR],
    ["ratio 0 with jitter below: never after the end", day, 0, 0, -0.01, 24 * HOUR],
    ["ratio 1: at once", day, 0, 1, 0.01, 0],
    ["ten years, beyond a timer's range", { notBefore: at(0), notAfter: at(87_600 * HOUR) }, 0, 0.5, 0, 43_800 * HOUR],
    ["no lifetime at all", { notBefore: at(0), notAfter: at(0) }, 0, 0.5, 0, 0],
  ])("%s", (_title, certificate, now, ratio, jitter, expected) => {
    expect(renewalDelay(certificate, at(now), { ratio, jitter })).toBeCloseTo(expected, 0);
  });
});

describe("how long to wait after a failure", () => {
  const unavailable = 14;
  test.each([
    ["first, a fault that passes", 1, unavailable, 100],
    ["second", 2, unavailable, 200],
    ["fifth", 5, unavailable, 1_600],
    ["hundredth: at most half a minute", 100, unavailable, 30_000],
    ["a refusal waits longer", 1, 7, 1_000],
    ["an answer that can't be used too", 1, undefined, 1_000],
  ])("%s", (_title, attempt, code, expected) => {
    expect(retryDelay(attempt, code, 0.5)).toBeCloseTo(expected, 5);
    expect(retryDelay(attempt, code, 0)).toBeCloseTo(expected * 0.9, 5);
    expect(retryDelay(attempt, code, 1)).toBeCloseTo(expected * 1.1, 5);
  });
});
