import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { runJob } from "../helpers/kubelet/jobs.ts";
import { expectCleanEnds, rollOver } from "../helpers/kubelet/rollout.ts";
import { SmallCluster } from "../helpers/kubelet/small-cluster.ts";

let cluster: SmallCluster;
beforeEach(() => {
  cluster = new SmallCluster();
});
afterEach(() => cluster.done());

describe("a Deployment is replaced pod by pod under load", () => {
  test.each(["native", "classic"] as const)("%s: no request fails in six replacements", async (mode) => {
    const { report, gone } = await rollOver(cluster, { mode, replacements: 6 });
    expect(report.failures(), String(report)).toEqual([]);
    expect(report.ok).toBeGreaterThan(3_000);
    expectCleanEnds(gone);
  });

  test("without the delay for the callers some do: the load would have noticed", async () => {
    const proxyFlags = ["--min-drain", "0s"];
    const { report } = await rollOver(cluster, { mode: "classic", replacements: 2, proxyFlags });
    expect(report.failed, String(report)).toBeGreaterThan(0);
  });
});

test.each(["native", "classic"] as const)("%s: ten Jobs, one after the other", async (mode) => {
  for (const code of [0, 1, 0, 3, 0, 255, 0, 64, 0, 70]) await runJob(cluster, mode, code);
});
