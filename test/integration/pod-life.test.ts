import { spawn } from "node:child_process";
import { afterEach, beforeEach, expect, test } from "vitest";
import { eventually } from "../helpers/eventually.ts";
import { runJob } from "../helpers/kubelet/jobs.ts";
import { expectCleanEnds, rollOver, withGrace } from "../helpers/kubelet/rollout.ts";
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
  "%s: a caller that never lets go: the proxy is gone before the kubelet's SIGKILL",
  async (mode) => {
    const pod = cluster.pod(withGrace(7), { mode });
    await pod.kubelet.start();
    await pod.kubelet.ready();
    const [first = "", ...rest] = cluster.node.prefix;
    const caller = spawn(first, [...rest, "curl", "-sN", `http://${pod.address}:9080/hold`], { stdio: "ignore" });
    try {
      await eventually("it is there", () => pod.kubelet.container("web").output.includes("holding"));
      await pod.kubelet.stop();
    } finally {
      caller.kill();
    }
    expect(pod.kubelet.endOf("istio-proxy"), pod.kubelet.output).toEqual({ code: 0, signal: null });
    expect(pod.kubelet.history).not.toContain("SIGKILL istio-proxy");
    expect(pod.kubelet.container("istio-proxy").output).toContain("Drained: the time for draining is over");
    expect(pod.processes()).toEqual([]);
  },
);

test.each(["native", "classic"] as const)(
  "%s: a CronJob's Jobs, one after the other, end with their own codes",
  async (mode) => {
    for (const code of [0, 3, 0]) await runJob(cluster, mode, code);
  },
);
