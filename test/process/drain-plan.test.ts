import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  type DrainLimits,
  type DrainSight,
  drainEnd,
  keepsListening,
  killGraceOf,
  planOf,
  planText,
} from "../../src/process/drain-plan.ts";

const limits: DrainLimits = {
  grace: 30_000,
  envoyDrain: 45_000,
  terminationDrain: undefined,
  minDrain: 5_000,
  minimumDrain: 5_000,
  exitOnZeroConnections: false,
};
const stop = { at: 1_000, drain: true };
const called: DrainSight = { calledLately: true };
const uncalled: DrainSight = { calledLately: false };
const unknown: DrainSight = { calledLately: undefined };
const onZero = { ...limits, exitOnZeroConnections: true };

describe("when a drain may end and when it must", () => {
  test.each<readonly [string, DrainLimits, DrainSight, number, number]>([
    ["called lately: the grace decides the end", limits, called, 6_000, 26_000],
    ["not called: may leave at once", limits, uncalled, 1_000, 26_000],
    ["nobody knows who called: somebody may have", limits, unknown, 6_000, 26_000],
    ["an explicit duration caps the drain", { ...limits, terminationDrain: 20_000 }, called, 6_000, 21_000],
    ["a short one caps the stay", { ...limits, terminationDrain: 2_000 }, called, 3_000, 3_000],
    ["an explicit 0 leaves at once", { ...limits, terminationDrain: 0 }, called, 1_000, 1_000],
    ["one beyond the grace ends with it", { ...limits, terminationDrain: 60_000 }, called, 6_000, 26_000],
    ["--min-drain 0", { ...limits, minDrain: 0 }, called, 1_000, 26_000],
    ["--min-drain beyond the grace", { ...limits, minDrain: 90_000 }, called, 26_000, 26_000],
    ["a long grace", { ...limits, grace: 3_600_000 }, called, 6_000, 3_596_000],
    ["a short grace keeps a quarter for the end", { ...limits, grace: 10_000 }, called, 6_000, 8_500],
    ["a very short one keeps a second", { ...limits, grace: 2_000 }, called, 2_000, 2_000],
    ["no grace, no drain", { ...limits, grace: 0 }, called, 1_000, 1_000],
    ["exit on zero waits its minimum, also uncalled", onZero, uncalled, 6_000, 26_000],
    ["exit on zero, longer minimum", { ...onZero, minimumDrain: 20_000 }, called, 21_000, 26_000],
    ["exit on zero, minimum beyond the grace", { ...onZero, minimumDrain: 40_000 }, called, 26_000, 26_000],
    ["exit on zero is not capped by the duration", { ...onZero, terminationDrain: 2_000 }, called, 6_000, 26_000],
  ])("%s", (_title, given, seen, earliest, latest) => {
    expect(drainEnd(stop, seen, given)).toEqual({ earliest, latest });
  });

  test("a stop without a drain ends at once", () => {
    expect(drainEnd({ at: 1_000, drain: false }, called, limits)).toEqual({ earliest: 1_000, latest: 1_000 });
  });
});

describe("connections that nobody can count", () => {
  test.each<readonly [string, DrainLimits, DrainSight, number]>([
    ["get 5 s from when the counting failed", limits, { ...uncalled, blindSince: 9_000 }, 14_000],
    ["never before the callers have heard", { ...limits, minDrain: 9_000 }, { ...called, blindSince: 1_000 }, 10_000],
    ["never beyond the grace", limits, { ...called, blindSince: 24_000 }, 26_000],
    [
      "an explicit duration is waited out",
      { ...limits, terminationDrain: 20_000 },
      { ...called, blindSince: 1_000 },
      21_000,
    ],
    ["exit on zero does not wait for ever", onZero, { ...called, blindSince: 6_000 }, 11_000],
    [
      "exit on zero does not care for the duration",
      { ...onZero, terminationDrain: 20_000 },
      { ...called, blindSince: 6_000 },
      11_000,
    ],
  ])("%s", (_title, given, seen, latest) => {
    expect(drainEnd(stop, seen, given).latest).toBe(latest);
  });
});

test.each<readonly [string, DrainLimits, boolean]>([
  ["Envoy's own drain outlasts the callers' lag", limits, false],
  ["it ends before they have heard", { ...limits, envoyDrain: 1_000 }, true],
  ["nobody stays", { ...limits, envoyDrain: 1_000, minDrain: 0 }, false],
  ["the budget is shorter than either", { ...limits, envoyDrain: 3_000, grace: 3_000 }, false],
  ["exit on zero has its own minimum", { ...onZero, envoyDrain: 7_000, minimumDrain: 8_000 }, true],
])("the listeners are kept open: %s", (_title, given, open) => {
  expect(keepsListening(given)).toBe(open);
});

describe("the whole plan", () => {
  test("Kubernetes' 30 s: SIGTERM at 25 s, SIGKILL at 29 s, gone before 30 s", () => {
    expect(planOf(stop, called, limits)).toEqual({
      at: 1_000,
      earliest: 6_000,
      latest: 26_000,
      killAt: 30_000,
      kubeletAt: 31_000,
    });
  });

  const duration = fc.integer({ min: 0, max: 200_000 });
  test("holds its order, and ends Envoy before the kubelet ends us, whatever is set", () => {
    const plans = fc.record({
      limits: fc.record({
        grace: fc.integer({ min: 1_000, max: 200_000 }),
        envoyDrain: duration,
        terminationDrain: fc.option(duration, { nil: undefined }),
        minDrain: duration,
        minimumDrain: duration,
        exitOnZeroConnections: fc.boolean(),
      }),
      seen: fc.record({
        calledLately: fc.constantFrom(true, false, undefined),
        blindSince: fc.option(duration, { nil: undefined }),
      }),
      at: duration,
      drain: fc.boolean(),
    });
    fc.assert(
      fc.property(plans, ({ limits: given, seen, at, drain }) => {
        const plan = planOf({ at, drain }, seen, given);
        expect(plan.at).toBeLessThanOrEqual(plan.earliest);
        expect(plan.earliest).toBeLessThanOrEqual(plan.latest);
        expect(plan.latest).toBeLessThan(plan.killAt);
        expect(plan.killAt).toBeLessThan(plan.kubeletAt);
      }),
    );
  });

  test("from SIGTERM to SIGKILL Envoy has the 0.7 s that it needs, also in the shortest grace", () => {
    expect([30_000, 10_000, 4_000, 1_000, 0].map((grace) => killGraceOf({ grace }))).toEqual([
      4_000, 2_000, 800, 800, 800,
    ]);
  });
});

describe("in words", () => {
  test("counted from the start of the stop", () => {
    expect(planText(planOf(stop, called, limits), {})).toBe(
      "drain from +0 s, over between +5 s and +25 s, Envoy killed by +29 s, end of grace +30 s",
    );
  });
  test("by the clock", () => {
    const timeOf = (at: number): string => new Date(at).toISOString().slice(11, 23);
    const plan = planOf(stop, called, { ...limits, terminationDrain: 1_500 });
    expect(planText(plan, { timeOf })).toBe(
      "drain from 00:00:01.000, over at 00:00:02.500, Envoy killed by 00:00:06.500, end of grace 00:00:31.000",
    );
  });
});
