import { expect } from "vitest";
import type { JsonObject } from "../../../src/inject/json-value.ts";
import { customEnvoy, type PodOptions, type SmallCluster } from "./small-cluster.ts";

/** A Job whose one container is a line of shell. Classic: `wait --then-quit` runs it and ends the proxy after it. */
export function job(script: string, mode: PodOptions["mode"]): JsonObject {
  const words = ["sh", "-c", script];
  const container =
    mode === "native"
      ? { name: "report", image: "sh", command: words }
      : {
          name: "report",
          image: "pilotfish/proxy:0.0.0-golden",
          securityContext: { runAsUser: 1000 },
          command: ["pilotfish", "wait", "--then-quit", "--", ...words],
        };
  const template = {
    metadata: { annotations: customEnvoy },
    spec: { restartPolicy: "Never", containers: [container] },
  };
  return { apiVersion: "batch/v1", kind: "Job", metadata: { name: "report" }, spec: { template } };
}

/** What a CronJob does at each of its times: a Job in a new pod, whose end is the command's, and nothing is left. */
export async function runJob(cluster: SmallCluster, mode: PodOptions["mode"], code: number): Promise<void> {
  // It finds the proxy serving, on its first try.
  const script = `curl -sS --max-time 5 http://127.0.0.1:15021/healthz/ready && exit ${code}`;
  const pod = cluster.pod(job(script, mode), { mode });
  const { kubelet } = pod;
  await kubelet.start();
  expect(await kubelet.completed(), kubelet.output).toBe(code === 0 ? "Succeeded" : "Failed");
  expect(kubelet.endOf("report"), kubelet.output).toEqual({ code, signal: null });
  expect(kubelet.endOf("istio-proxy"), kubelet.output).toEqual({ code: 0, signal: null });
  expect(kubelet.history.filter((one) => one.startsWith("SIGKILL"))).toEqual([]);
  expect(pod.processes()).toEqual([]);
  await pod.done();
}
