import { describe, expect, test } from "vitest";
import {
  begin,
  type Effect,
  type LifecycleEvent,
  type LifecycleLimits,
  type LifecycleState,
  lifecycleTable,
  step,
} from "../../src/process/lifecycle.ts";

const limits: LifecycleLimits = {
  grace: 30_000,
  envoyDrain: 45_000,
  terminationDrain: 5_000,
  minDrain: 5_000,
  minimumDrain: 5_000,
  exitOnZeroConnections: false,
  killGrace: 5_000,
  parentShutdown: 15_000,
  liveWithin: 10_000,
  probation: 5_000,
  attempts: 3,
  retryAfter: 1_000,
};
const exit0 = { how: "exited", code: 0 } as const;
const killed = { how: "killed", signal: "SIGKILL" } as const;

const first = { run: 1, epoch: 0, lineage: 0, startedAt: 0, liveAt: undefined, adminLost: false, cause: "start" };
const served = { ...first, liveAt: 100 };

/** Feeds events and gives the last state and every effect since the last event but the "tell" ones. */
function story(...events: readonly (readonly [at: number, event: LifecycleEvent])[]) {
  let { next: state, effects }: { next: LifecycleState; effects: readonly Effect[] } = begin(0, limits);
  for (const [at, event] of events) ({ next: state, effects } = step(state, event, at, limits));
  return { state, effects: effects.filter((one) => one.run !== "tell") };
}
const live: readonly [number, LifecycleEvent] = [100, { on: "live", run: 1 }];
const stop = (at: number, reason = "SIGTERM", drain = true): readonly [number, LifecycleEvent] => [
  at,
  { on: "stop", reason, drain },
];
const seen = (at: number, active: number | undefined, calledLately?: boolean): readonly [number, LifecycleEvent] => [
  at,
  { on: "connections", run: 1, seen: { active, calledLately } },
];
const exited = (at: number, exit: typeof exit0 | typeof killed): readonly [number, LifecycleEvent] => [
  at,
  { on: "exited", run: 1, exit, kept: 0, outOfMemory: false, jitter: 0 },
];

describe("start", () => {
  test("epoch 0 is started and watched", () => {
    expect(story()).toEqual({
      state: { is: "starting", current: first, over: "nobody", older: undefined, ledger: expect.anything() },
      effects: [
        { run: "start", of: first, over: "nobody", using: "prepared" },
        { run: "await-live", of: first },
      ],
    });
  });
  test("LIVE counts for its own epoch only", () => {
    expect(story([50, { on: "live", run: 2 }]).state.is).toBe("starting");
    expect(story(live).state).toMatchObject({ is: "live", current: served });
  });
  test("a failed exec is the end, with its error", () => {
    const error = new Error("no such file");
    const outcome = { how: "not-started", epoch: 0, error };
    expect(story([1, { on: "not-started", run: 1, error }])).toEqual({
      state: { is: "gone", outcome },
      effects: [{ run: "finish", outcome }],
    });
  });
  test("a stop before LIVE has nothing to drain", () => {
    const { state, effects } = story(stop(20));
    expect(state.is).toBe("stopping");
    expect(effects).toEqual([
      { run: "drop-sockets" },
      { run: "signal", of: 1, signal: "SIGTERM" },
      { run: "arm", of: 1, timer: "kill", after: 5_000 },
    ]);
  });
});

describe("Envoy ends by itself", () => {
  test.each([
    ["before LIVE", []],
    ["while serving", [live]],
  ] as const)("killed %s: another one is started at once", (_title, before) => {
    expect(story(...before, exited(500, killed))).toMatchObject({
      state: { is: "starting", current: { run: 2, epoch: 0 }, over: "nobody" },
      effects: [{ run: "drop-sockets" }, { run: "start", using: "proven" }, { run: "await-live", of: { run: 2 } }],
    });
  });
  test("exit code 0 is an asked stop", () => {
    expect(story(live, exited(500, exit0)).state).toEqual({ is: "gone", outcome: { how: "asked-envoy", epoch: 0 } });
  });
  test("the exit of another epoch is not ours", () => {
    expect(
      story(live, [500, { on: "exited", run: 7, exit: killed, kept: 0, outOfMemory: false, jitter: 0 }]).state.is,
    ).toBe("live");
  });
});

describe("stop", () => {
  test("drains, counts, and has an end", () => {
    const { state, effects } = story(live, stop(1_000));
    expect(state.is).toBe("draining");
    expect(effects).toEqual([
      { run: "drop-sockets" },
      { run: "drain-listeners", of: served, skipExit: false, atOnce: false },
      { run: "count-connections", of: served },
      { run: "arm", of: 1, timer: "drain-end", after: 5_000 },
    ]);
  });
  test("nobody called and nothing is open: over at the first answer", () => {
    expect(story(live, stop(1_000), seen(1_010, 0, false)).state.is).toBe("stopping");
  });
  test("called lately: stays its 5 s although nothing is open", () => {
    const waits = story(live, stop(1_000), seen(1_010, 0, true));
    expect(waits.state.is).toBe("draining");
    expect(waits.effects).toEqual([{ run: "arm", of: 1, timer: "drain-poll", after: 100 }]);
    expect(story(live, stop(1_000), seen(1_010, 0, true), seen(5_999, 0)).state.is).toBe("draining");
    expect(story(live, stop(1_000), seen(1_010, 0, true), seen(6_000, 0)).state.is).toBe("stopping");
  });
  test("the first answer settles who called; our own drain does not change it", () => {
    expect(story(live, stop(1_000), seen(1_010, 0, true), seen(1_110, 0, false)).state.is).toBe("draining");
  });
  test("unknown is not zero, and not for ever", () => {
    expect(story(live, stop(1_000), seen(1_010, undefined)).state.is).toBe("draining");
    const late = [6_000, { on: "timer", run: 1, timer: "drain-end" }] as const;
    expect(story(live, stop(1_000), seen(1_010, undefined), late).state.is).toBe("stopping");
  });
  test("open connections leave at the latest at the end", () => {
    expect(story(live, stop(1_000), seen(1_010, 3, true), seen(5_999, 3)).state.is).toBe("draining");
    expect(story(live, stop(1_000), seen(1_010, 3, true), seen(6_001, 3)).state.is).toBe("stopping");
  });
  test("the poll asks again; a late poll timer is ignored", () => {
    const poll = [1_200, { on: "timer", run: 1, timer: "drain-poll" }] as const;
    expect(story(live, stop(1_000), seen(1_010, 3), poll).effects).toEqual([{ run: "count-connections", of: served }]);
    expect(story(live, poll).effects).toEqual([]);
  });
  test("the first reason wins; the second stop ends the drain, the third kills", () => {
    const second = story(live, stop(1_000), stop(1_100, "SIGINT"));
    expect(second.state).toMatchObject({ is: "stopping", stop: { reason: "SIGTERM" } });
    const third = story(live, stop(1_000), stop(1_100), stop(1_200));
    expect(third.effects).toContainEqual({ run: "signal", of: 1, signal: "SIGKILL" });
  });
  test("quit does not drain, also during a drain", () => {
    expect(story(live, stop(1_000, "POST /quitquitquit", false)).state.is).toBe("stopping");
    expect(story(live, stop(1_000), stop(1_100, "POST /quitquitquit", false)).state.is).toBe("stopping");
  });
  test("Envoy dead during the drain: the stop is done", () => {
    expect(story(live, stop(1_000), exited(1_100, killed)).state).toMatchObject({
      outcome: { how: "stopped", reason: "SIGTERM", forced: false },
    });
  });
});

describe("stopping", () => {
  const kill = (at: number): readonly [number, LifecycleEvent] => [at, { on: "timer", run: 1, timer: "kill" }];
  const again = (at: number): readonly [number, LifecycleEvent] => [at, { on: "timer", run: 1, timer: "kill-again" }];
  test("SIGKILL after the grace, again, and then we leave", () => {
    const forced = story(stop(20), kill(5_020));
    expect(forced.effects).toEqual([
      { run: "signal", of: 1, signal: "SIGKILL" },
      { run: "arm", of: 1, timer: "kill-again", after: 1_000 },
    ]);
    const given = story(stop(20), kill(5_020), again(6_020), again(7_020), again(8_020));
    expect(given.state).toMatchObject({ is: "gone", outcome: { how: "stopped", forced: true, exit: undefined } });
  });
  test("the exit is the end, and says whether force was needed", () => {
    expect(story(stop(20), exited(30, exit0)).state).toMatchObject({ outcome: { how: "stopped", forced: false } });
    expect(story(stop(20), kill(5_020), exited(5_030, killed)).state).toMatchObject({ outcome: { forced: true } });
  });
});

describe("POST /drain", () => {
  const drain: readonly [number, LifecycleEvent] = [1_000, { on: "drain", reason: "POST /drain" }];
  test("drains without an end", () => {
    const { state, effects } = story(live, drain);
    expect(state).toMatchObject({ is: "draining", stop: undefined });
    expect(effects).toContainEqual({ run: "drain-listeners", of: served, skipExit: true, atOnce: false });
    expect(story(live, drain, seen(90_000, 0)).state.is).toBe("draining");
  });
  test("a SIGTERM goes on with that drain's clock", () => {
    expect(story(live, drain, seen(1_100, 2, true), stop(3_000)).state.is).toBe("draining");
    expect(story(live, drain, seen(1_100, 0, true), stop(6_100)).state.is).toBe("stopping");
    expect(story(live, drain, seen(1_100, 0, false), stop(1_200)).state.is).toBe("stopping");
  });
  test("Envoy's death is a death", () => {
    expect(story(live, drain, exited(2_000, killed)).state).toMatchObject({ outcome: { how: "died" } });
  });
});

test("gone is final: no event moves it", () => {
  const { state } = story(live, exited(500, exit0));
  const events: readonly LifecycleEvent[] = [
    live[1],
    stop(1)[1],
    exited(1, exit0)[1],
    seen(1, 0)[1],
    { on: "drain", reason: "x" },
    { on: "timer", run: 1, timer: "kill" },
    { on: "not-started", run: 1, error: new Error("x") },
  ];
  for (const event of events) expect(step(state, event, 9_999, limits)).toEqual({ next: state, effects: [] });
});

test("the table has a cell for every state and event", () => {
  const rows = Object.values(lifecycleTable).map((row) => Object.keys(row).join());
  expect(new Set(rows).size).toBe(1);
  expect(Object.keys(lifecycleTable)).toEqual(
    "starting live checking initializing cancelling mending overlap waiting trial yielding draining stopping gone".split(
      " ",
    ),
  );
});
