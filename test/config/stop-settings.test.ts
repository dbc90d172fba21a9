import { describe, expect, test } from "vitest";
import { agentConfig } from "../fakes/agent-config.ts";

const noticeOf = (given: Parameters<typeof agentConfig>[0]): string | undefined =>
  agentConfig(given).notices.find((one) => one.includes("does not fit"));

describe("the grace period", () => {
  test("flag, then variable, then Kubernetes' own", () => {
    const env = { TERMINATION_GRACE_PERIOD: "1m0s" };
    expect(agentConfig({ env, args: ["--termination-grace", "90s"] }).stop.grace).toBe(90_000);
    expect(agentConfig({ env }).stop.grace).toBe(60_000);
    expect(agentConfig().stop.grace).toBe(30_000);
    expect(agentConfig({ args: ["--termination-grace=0"] }).stop.grace).toBe(0);
  });
  test("nobody set terminationDrainDuration: the stop does not take its default for a wish, the node still says it", () => {
    const { stop, proxy } = agentConfig();
    expect(stop.terminationDrain).toBeUndefined();
    expect(proxy.raw).toMatchObject({ terminationDrainDuration: "5s" });
  });
});

describe("what does not fit is said at the start", () => {
  const long = { PROXY_CONFIG: '{"terminationDrainDuration": "60s"}' };
  test("a grace that we were told", () => {
    expect(noticeOf({ env: { ...long, TERMINATION_GRACE_PERIOD: "40s" } })).toBe(
      "terminationDrainDuration 60s does not fit into the grace period of 40s, so draining ends after 35s; give the pod a longer terminationGracePeriodSeconds",
    );
  });
  test("one that we can only assume", () => {
    expect(noticeOf({ env: long })).toContain("Kubernetes' usual grace period of 30s, so draining ends after 25s; if");
  });
  test("MINIMUM_DRAIN_DURATION where it counts", () => {
    const env = { MINIMUM_DRAIN_DURATION: "28s" };
    expect(noticeOf({ env })).toBeUndefined();
    expect(noticeOf({ env: { ...env, EXIT_ON_ZERO_ACTIVE_CONNECTIONS: "true" } })).toContain(
      "MINIMUM_DRAIN_DURATION 28s",
    );
  });
  test("what fits is not mentioned", () => {
    expect(noticeOf({ env: { ...long, TERMINATION_GRACE_PERIOD: "65s" } })).toBeUndefined();
    expect(noticeOf({})).toBeUndefined();
  });
});
