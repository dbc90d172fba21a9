import { expect } from "vitest";
import type { Mode } from "../../../src/inject/injector-config.ts";
import type { JsonObject } from "../../../src/inject/json-value.ts";
import { Load, type LoadReport } from "../load/load.ts";
import { type ClusterPod, customEnvoy, type SmallCluster, serviceHost, servicePort } from "./small-cluster.ts";

/** How long callers go on using a pod that ends: watch, endpoint slice, kube-proxy's rules. */
const ENDPOINTS_LAG = 1_500;

export interface Rollout {
  readonly mode: Mode;
  readonly replacements: number;
  readonly proxyFlags?: readonly string[];
}

/** The pod of `deployment`, with this grace period. */
export function withGrace(seconds: number): JsonObject {
  const text = JSON.stringify(deployment).replace(
    '"containers"',
    `"terminationGracePeriodSeconds":${seconds},"containers"`,
  );
  return JSON.parse(text) as JsonObject;
}

/** A careful author's Deployment: the application serves on while its callers hear of the end. */
export const deployment: JsonObject = {
  apiVersion: "apps/v1",
  kind: "Deployment",
  metadata: { name: "web" },
  spec: {
    selector: { matchLabels: { app: "web" } },
    template: {
      metadata: { labels: { app: "web" }, annotations: customEnvoy },
      spec: {
        containers: [
          {
            name: "web",
            image: "app",
            args: [String(servicePort)],
            ports: [{ containerPort: servicePort }],
            readinessProbe: { httpGet: { path: "/", port: servicePort }, timeoutSeconds: 2 },
            lifecycle: { preStop: { exec: { command: ["sleep", "3"] } } },
          },
        ],
      },
    },
  },
};

/** Two replicas, replaced one by one under load: a new one is ready before an old one ends. */
export async function rollOver(cluster: SmallCluster, { mode, replacements, proxyFlags = [] }: Rollout) {
  const started = async (): Promise<ClusterPod> => {
    const pod = cluster.pod(deployment, { mode, proxyFlags });
    await pod.kubelet.start();
    await pod.kubelet.ready();
    return pod;
  };
  let serving = await Promise.all([started(), started()]);
  const gone: ClusterPod[] = [];
  cluster.endpoints(serving);
  const load = await Load.start(entries, cluster.node.prefix);
  try {
    for (let n = 0; n < replacements; n++) {
      const next = await started();
      const [old, ...rest] = serving;
      if (old === undefined) throw new Error("nobody serves");
      serving = [...rest, next];
      cluster.endpoints([old, ...serving]);
      const noticed = new Promise((resolve) => setTimeout(resolve, ENDPOINTS_LAG)).then(() =>
        cluster.endpoints(serving),
      );
      await Promise.all([old.kubelet.stop(), noticed]);
      gone.push(old);
    }
    return { report: await load.stop(), gone } satisfies { report: LoadReport; gone: readonly ClusterPod[] };
  } finally {
    await load.done();
  }
}

/** Each container of pods that have ended did so by itself, with 0, and no process is left in their networks. */
export function expectCleanEnds(pods: readonly ClusterPod[]): void {
  for (const { kubelet, processes } of pods) {
    for (const name of ["istio-proxy", "web"])
      expect(kubelet.endOf(name), kubelet.output).toEqual({ code: 0, signal: null });
    expect(kubelet.history.filter((one) => one.startsWith("SIGKILL"))).toEqual([]);
    expect(processes()).toEqual([]);
  }
}

const to = { host: serviceHost, port: servicePort } as const;
const entries = [
  { ...to, kind: "keep-alive", clients: 3 },
  { ...to, kind: "new-connection", clients: 2, pause: 10 },
  { ...to, kind: "http2", clients: 2 },
] as const;
