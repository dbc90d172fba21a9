import { expect, test } from "vitest";
import { stopSection } from "../../src/agent/stop-section.ts";
import type { EnvoySnapshot } from "../../src/process/envoy-snapshot.ts";
import { statusText } from "../../src/status/status-text.ts";

const limits = {
  grace: 30_000,
  envoyDrain: 45_000,
  terminationDrain: undefined,
  minDrain: 5_000,
  minimumDrain: 5_000,
  exitOnZeroConnections: false,
};
const live: EnvoySnapshot = { state: "live", epoch: 0, pid: 1, since: 500, reason: "", processes: [] };
const text = (snapshot: EnvoySnapshot, now: number, more: object = {}): string =>
  statusText([stopSection(snapshot, { ...limits, ...more }, now)], { colour: false });

test("what the plan would be, while nobody wants to stop", () => {
  expect(text(live, 99_000)).toBe(`Stop, if it were now
  called pod may leave after     5.0 s
  SIGTERM to Envoy after         25.0 s
  SIGKILL to Envoy after         29.0 s
  end of grace after             30.0 s
  grace period                   30.0 s
  terminationDrainDuration       not set
  waits for the last connection  no
`);
});

const draining: EnvoySnapshot = {
  ...live,
  state: "draining",
  since: 10_000,
  reason: "draining: SIGTERM",
  ending: { from: 10_000, asked: true, seen: { calledLately: true } },
};

test("what it is while draining, counted from now", () => {
  expect(text(draining, 17_000, { terminationDrain: 12_000 })).toBe(`Stop
~ because                        draining: SIGTERM
  going on for                   7.0 s
  called pod may leave           now
  SIGTERM to Envoy in            5.0 s
  SIGKILL to Envoy in            9.0 s
  end of grace in                23.0 s
  grace period                   30.0 s
  terminationDrainDuration       12.0 s
  waits for the last connection  no
`);
});

test("connections that nobody can count end it earlier", () => {
  const blind: EnvoySnapshot = {
    ...draining,
    ending: { from: 10_000, asked: true, seen: { calledLately: undefined, blindSince: 11_000 } },
  };
  expect(text(blind, 12_000)).toMatch(/called pod may leave in +3.0 s\n +SIGTERM to Envoy in +4.0 s\n/);
});

test("after POST /drain alone nothing happens by itself: what a stop would do, on the drain's clock", () => {
  const drained: EnvoySnapshot = {
    ...draining,
    reason: "draining: asked to drain",
    ending: { from: 10_000, asked: false, seen: { calledLately: true } },
  };
  expect(text(drained, 40_000)).toBe(`Drained; a stop, if it were asked for now
~ because                        draining: asked to drain
  going on for                   30.0 s
  called pod may leave           now
  SIGTERM to Envoy               now
  SIGKILL to Envoy in            4.0 s
  end of grace                   now
  grace period                   30.0 s
  terminationDrainDuration       not set
  waits for the last connection  no
`);
});

test("while Envoy ends, SIGKILL counts from its SIGTERM", () => {
  const stopping: EnvoySnapshot = {
    ...live,
    state: "stopping",
    since: 16_000,
    reason: "stopping: SIGTERM",
    ending: { from: 10_000, asked: true, seen: { calledLately: false } },
  };
  expect(text(stopping, 17_000)).toBe(`Stop
~ because                        stopping: SIGTERM
  going on for                   7.0 s
  called pod may leave           now
  SIGTERM to Envoy               sent
  SIGKILL to Envoy in            3.0 s
  end of grace in                23.0 s
  grace period                   30.0 s
  terminationDrainDuration       not set
  waits for the last connection  no
`);
});
