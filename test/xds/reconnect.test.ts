import { describe, expect, test } from "vitest";
import { Backoff, reconnectDelay, watchdogDelay } from "../../src/xds/reconnect.ts";
import { FakeClock } from "../fakes/fake-clock.ts";

test.each([
  [0, 0],
  [1, 200],
  [2, 400],
  [5, 3_200],
  [7, 10_000],
  [1_000, 10_000],
])("after %i failures in a row the wait is %i ms, give or take a fifth", (failures, expected) => {
  expect(reconnectDelay(failures, 0.5)).toBeCloseTo(expected, 5);
  expect(reconnectDelay(failures, 0)).toBeCloseTo(expected * 0.8, 5);
  expect(reconnectDelay(failures, 1)).toBeCloseTo(expected * 1.2, 5);
});

test("the watchdog grows more patient, up to five times", () => {
  expect([0, 1, 2, 3, 99].map((inRow) => watchdogDelay(60_000, inRow))).toEqual([
    60_000, 120_000, 240_000, 300_000, 300_000,
  ]);
});

describe("what all streams know together", () => {
  test("a new stream waits as long as the old one would have; success forgets", () => {
    const clock = new FakeClock();
    const backoff = new Backoff(clock, () => 0.5);
    expect(backoff.wait()).toBe(0);
    backoff.failed();
    backoff.failed();
    expect(backoff.wait()).toBe(400);
    clock.advance(300);
    expect(backoff.wait()).toBe(100);
    clock.advance(300);
    expect(backoff.wait()).toBe(0);
    backoff.succeeded();
    backoff.failed();
    expect(backoff.wait()).toBe(200);
  });
});
