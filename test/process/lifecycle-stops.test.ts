import { describe, expect, test } from "vitest";
import {
  begin,
  type Effect,
  type LifecycleEvent,
  type LifecycleLimits,
  type LifecycleState,
  step,
} from "../../src/process/lifecycle.ts";

/* Stops and drains that meet more than one Envoy, or none that serves yet. */

const limits: LifecycleLimits = {
  grace: 30_000,
  envoyDrain: 45_000,
  terminationDrain: undefined,
  minDrain: 0,
  minimumDrain: 0,
  exitOnZeroConnections: false,
  killGrace: 5_000,
  parentShutdown: 15_000,
  liveWithin: 10_000,
  probation: 5_000,
  attempts: 3,
  retryAfter: 1_000,
};

type Timed = readonly [at: number, event: LifecycleEvent];

function story(...events: readonly Timed[]) {
  let { next: state, effects }: { next: LifecycleState; effects: readonly Effect[] } = begin(0, limits);
  for (const [at, event] of events) ({ next: state, effects } = step(state, event, at, limits));
  return { state, effects: effects.filter((one) => one.run !== "tell") };
}

const live = (at: number, run: number): Timed => [at, { on: "live", run }];
const stop = (at: number): Timed => [at, { on: "stop", reason: "SIGTERM", drain: true }];
const drain = (at: number): Timed => [at, { on: "drain", reason: "POST /drain" }];
const died = (at: number, run: number, kept = 0): Timed => [
  at,
  { on: "exited", run, exit: { how: "killed", signal: "SIGKILL" }, kept, outOfMemory: false, jitter: 0 },
];
const seen = (at: number, run: number, active: number | undefined): Timed => [
  at,
  { on: "connections", run, seen: { active, calledLately: false } },
];
const restart = (at: number, strategy: "auto" | "swap"): Timed => [
  at,
  {
    on: "restart",
    restart: { ids: [1], cause: "test", strategy, explicit: true, ignoreMemory: false, since: at, attempt: 0 },
  },
];
const ready = (at: number, by: "hot-restart" | "swap"): Timed => [
  at,
  { on: "checked", run: 1, found: { is: "ready", by, because: "" } },
];
const onTrial = [live(100, 1), restart(200, "swap"), ready(300, "swap"), live(400, 2)];
const signals = (effects: readonly Effect[]) => effects.filter((one) => one.run === "signal");

describe("two Envoys with connections of their own", () => {
  test("both are counted", () => {
    expect(story(...onTrial, stop(500)).effects).toContainEqual(
      expect.objectContaining({ run: "count-connections", of: expect.objectContaining({ run: 2 }) }),
    );
  });
  test("the drain is over when neither has any", () => {
    const drained = [...onTrial, stop(500), seen(510, 1, 0)];
    expect(story(...drained).state.is).toBe("draining");
    expect(story(...drained, seen(520, 2, 3)).state.is).toBe("draining");
    const { state, effects } = story(...drained, seen(520, 2, 3), seen(700, 2, 0));
    expect(state.is).toBe("stopping");
    expect(signals(effects)).toHaveLength(2);
  });
  test("one that does not say is waited for only as long as one alone", () => {
    const half = [...onTrial, stop(500), seen(510, 1, undefined), seen(520, 2, 0)];
    expect(story(...half, seen(5_000, 2, 0)).state.is).toBe("draining");
    expect(story(...half, seen(5_600, 2, 0)).state.is).toBe("stopping");
    expect(story(...half, seen(5_600, 2, 1)).state.is).toBe("draining");
  });
  test("one that is not live is killed and not asked", () => {
    const { effects } = story(live(100, 1), restart(200, "swap"), ready(300, "swap"), stop(500));
    expect(signals(effects)).toEqual([{ run: "signal", of: 2, signal: "SIGKILL" }]);
    const asked = effects.filter((one) => one.run === "drain-listeners" || one.run === "count-connections");
    expect(asked.map(({ of }) => of.run)).toEqual([1, 1]);
  });
});

describe("a drain while nobody serves", () => {
  test("is begun as soon as the first Envoy is live", () => {
    expect(story(drain(50)).state.is).toBe("starting");
    const { state, effects } = story(drain(50), live(100, 1));
    expect(state).toMatchObject({ is: "draining", stop: undefined });
    expect(effects).toContainEqual(expect.objectContaining({ run: "drain-listeners", skipExit: true }));
  });
  test("over kept sockets, and after a back-off", () => {
    const crashed = [live(100, 1), died(200, 1, 1)];
    expect(story(...crashed, drain(300), live(400, 2)).state.is).toBe("draining");
    const waiting = [...crashed, died(300, 2, 1), drain(400)];
    expect(story(...waiting).state.is).toBe("waiting");
    expect(story(...waiting, [600, { on: "timer", run: 2, timer: "backoff" }], live(700, 3)).state.is).toBe("draining");
  });
  test("a wish for a restart is overtaken", () => {
    const { effects } = story(restart(20, "auto"), drain(50));
    expect(effects).toEqual([{ run: "answer", ids: [1], outcome: { is: "overtaken", why: "POST /drain" } }]);
  });
  test("a stop comes before it", () => {
    expect(story(drain(50), stop(60)).state.is).toBe("stopping");
  });
  test("the one that replaces one that died in the overlap goes on, and drains", () => {
    const overlap = [live(100, 1), restart(200, "auto"), ready(300, "hot-restart"), live(400, 2)];
    const again = [...overlap, died(500, 2), drain(600)];
    expect(story(...again).state.is).toBe("initializing");
    expect(story(...again, live(700, 3)).state.is).toBe("draining");
  });
});
