import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, afterEach, expect, test } from "vitest";
import { parseAllDocuments } from "yaml";
import { eventually } from "../helpers/eventually.ts";
import { pilotfishImage, programImage } from "../helpers/kubelet/image.ts";
import { Kubelet } from "../helpers/kubelet/kubelet.ts";
import type { Pod } from "../helpers/kubelet/pod.ts";
import { startProber } from "../helpers/kubelet/prober.ts";
import { makePodAndPeer } from "../helpers/network-namespaces.ts";
import { root, temporaryFolder } from "../helpers/paths.ts";

/** deploy/pod/hand-made-sidecar.yaml runs as it stands: no injection, no mesh, the user's own Envoy configuration. */
const folder = temporaryFolder("hand-made");
const undo: (() => unknown)[] = [];
afterEach(async () => {
  for (const step of undo.splice(0).reverse()) await step();
});
afterAll(folder.done);

interface ConfigMap {
  readonly metadata: { readonly name: string };
  readonly data: Readonly<Record<string, string>>;
}

test("the hand-made sidecar: ready before the application, drained and gone after it", async () => {
  const text = readFileSync(join(root, "deploy/pod/hand-made-sidecar.yaml"), "utf8");
  const [configMap, manifest] = [...parseAllDocuments(text)].map((one) => one.toJS() as unknown) as [ConfigMap, Pod];
  const { pod, peer, done } = makePodAndPeer(["10.77.0.2/24"], ["10.77.0.3/24"]);
  undo.push(done);
  const client = await startProber(peer.prefix);
  undo.push(() => client.done());
  const [proxy, app] = [pilotfishImage(folder.path), programImage("pod-app.mjs")];
  const [container] = manifest.spec.containers;
  const spec = { ...manifest.spec, containers: container === undefined ? [] : [{ ...container, args: ["50051"] }] };
  const kubelet = new Kubelet(
    { ...manifest, spec },
    {
      node: peer.prefix,
      network: pod.path,
      images: (name) => (name.startsWith("pilotfish/") ? proxy : app),
      facts: {
        podIp: "10.77.0.2",
        hostIp: "10.77.0.3",
        nodeName: "node-1",
        configMaps: { [configMap.metadata.name]: configMap.data },
      },
    },
  );
  undo.push(() => kubelet.done());
  await kubelet.start();
  await kubelet.ready();
  // The application has no probe: it listens when it listens.
  const answer = await eventually("the application answers", () => client.get("10.77.0.2", 8080, "/"));
  expect(answer).toBe("app saw 127.0.0.1\n");
  await kubelet.stop();
  expect(kubelet.history).toEqual([
    "started envoy",
    "up envoy",
    "started grpc-service",
    "ready envoy",
    "ready grpc-service",
    "ended grpc-service 0",
    "preStop envoy done",
    "ended envoy 0",
  ]);
});
