import { afterEach, beforeEach, expect, test } from "vitest";
import { runJob } from "../helpers/kubelet/jobs.ts";
import { expectCleanEnds, rollOver } from "../helpers/kubelet/rollout.ts";
import { SmallCluster } from "../helpers/kubelet/small-cluster.ts";

let cluster: SmallCluster;
beforeEach(() => {
  cluster = new SmallCluster();
});
afterEach(() => cluster.done());

test("a Deployment is replaced pod by pod: no request of its callers fails, nothing of a pod is left", async () => {
  const { report, gone } = await rollOver(cluster, { mode: "native", replacements: 2 });
  expect(report.failures(), String(report)).toEqual([]);
  expect(report.ok).toBeGreaterThan(1_000);
  expectCleanEnds(gone);
});

test.each(["native", "classic"] as const)(
  "%s: a CronJob's Jobs, one after the other, end with their own codes",
  async (mode) => {
    for (const code of [0, 3, 0]) await runJob(cluster, mode, code);
  },
);
