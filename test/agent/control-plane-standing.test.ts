import { describe, expect, test } from "vitest";
import { type ControlPlaneView, controlPlaneContributors } from "../../src/agent/control-plane-standing.ts";
import type { Contributor, Standing } from "../../src/status/readiness.ts";
import type { XdsStatus } from "../../src/xds/xds-status.ts";
import { agentConfig } from "../fakes/agent-config.ts";
import { FakeClock } from "../fakes/fake-clock.ts";

const stream = (state: "open" | "connecting", pid = 42): XdsStatus["streams"][number] => ({
  id: 1,
  pid,
  variant: "delta",
  state,
  since: 0,
  receivedClusters: false,
  receivedListeners: false,
  reason: "",
  types: [],
});
const configured = [{ pid: 42, clusters: true, listeners: true }];
const xds: XdsStatus = {
  listening: true,
  upstream: "istiod:15012",
  reachable: "yes",
  reason: "",
  failures: 0,
  streams: [],
  configured: [],
  turnedAway: 0,
};
const away = { reachable: "no", reason: "cannot reach the control plane at istiod:15012: refused" } as const;

function world(tolerance?: number, uses: "ads" | "static" = "ads") {
  const clock = new FakeClock();
  let status = xds;
  const view = {
    facts: { clusters: uses, listeners: uses, secrets: [] },
    snapshot: () => ({ state: "live", epoch: 0, pid: 42, since: 0, reason: "", processes: [] }),
    parts: () => ({
      identity: { status: () => ({ state: "valid", reason: "" }) },
      sds: { status: () => ({ mode: "own", asked: [], nacks: [] }) },
      xds: { status: () => status },
    }),
    clock,
    tolerance,
  } as unknown as ControlPlaneView;
  const contributors = controlPlaneContributors(view);
  return {
    clock,
    names: contributors.map((one: Contributor) => one.name),
    set: (more: Partial<XdsStatus>) => {
      status = { ...xds, ...more };
    },
    say: (name: string) => contributors.find((one) => one.name === name)?.check() as Standing,
  };
}

test("the control plane has a say only where the bootstrap uses it", () => {
  expect(world().names).toEqual(["certificate", "cds", "lds", "control-plane"]);
  expect(world(undefined, "static").names).toEqual(["certificate"]);
});

describe("before the first configuration cds and lds say what is missing", () => {
  test.each<readonly [string, Partial<XdsStatus>, string]>([
    ["nobody asked", {}, "Envoy has not asked for its configuration yet"],
    ["the stream of another Envoy does not count", { streams: [stream("open", 7)] }, "Envoy has not asked"],
    [
      "no answer yet",
      { streams: [stream("open")] },
      "waiting for the first clusters of the control plane istiod:15012",
    ],
    ["cannot be reached", { ...away, streams: [stream("connecting")] }, away.reason],
  ])("%s", (_title, status, reason) => {
    const { set, say } = world(1_000);
    set(status);
    expect(say("cds")).toEqual({ ready: false, reason: expect.stringContaining(reason) as string });
    expect(say("control-plane")).toEqual({ ready: true });
  });
});

describe("a control plane that goes away after the configuration came", () => {
  function lost(tolerance?: number) {
    const all = world(tolerance);
    all.set({ configured, streams: [stream("open")] });
    expect([all.say("cds"), all.say("lds"), all.say("control-plane")]).toEqual(Array(3).fill({ ready: true }));
    all.set({ ...away, configured, streams: [stream("connecting")] });
    all.say("control-plane");
    return all;
  }

  test("is borne for ever by default, and shown with how long", () => {
    const { clock, say } = lost();
    clock.advance(90_000_000);
    expect(say("cds")).toEqual({ ready: true });
    expect(say("control-plane")).toEqual({
      ready: true,
      note: `away for 90000s: ${away.reason}; served from what was got`,
    });
  });

  test("is borne as long as somebody said, and is the reason afterwards", () => {
    const { clock, say } = lost(60_000);
    clock.advance(60_000);
    expect(say("control-plane")).toMatchObject({
      ready: true,
      note: expect.stringContaining("tolerated for 60s") as string,
    });
    clock.advance(1_000);
    expect(say("control-plane")).toEqual({
      ready: false,
      reason: `away for 61s: ${away.reason}; tolerated for 60s only`,
    });
  });

  test("counts from anew when it was back in between", () => {
    const { clock, say, set } = lost(60_000);
    clock.advance(50_000);
    set({ configured, streams: [stream("open")] });
    expect(say("control-plane")).toEqual({ ready: true });
    set({ ...away, configured, streams: [] });
    say("control-plane");
    clock.advance(50_000);
    expect(say("control-plane").ready).toBe(true);
    clock.advance(11_000);
    expect(say("control-plane").ready).toBe(false);
  });

  test("not at all, with a tolerance of 0", () => {
    const { clock, say } = lost(0);
    clock.advance(1);
    expect(say("control-plane").ready).toBe(false);
  });
});

test("flag, then variable, then for ever", () => {
  const env = { PILOTFISH_CONTROL_PLANE_TOLERANCE: "5m" };
  expect(agentConfig({ env, args: ["--control-plane-tolerance=0s"] }).xds.tolerance).toBe(0);
  expect(agentConfig({ env }).xds.tolerance).toBe(300_000);
  expect(agentConfig().xds.tolerance).toBeUndefined();
});
