import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { parse, parseAllDocuments } from "yaml";
import { injectDocument } from "../../src/inject/inject-document.ts";
import type { Mode } from "../../src/inject/injector-config.ts";
import type { JsonObject } from "../../src/inject/json-value.ts";
import { objectAt, podPlace } from "../../src/inject/pod-kinds.ts";
import { captureBootstrap, command } from "../helpers/capture-proxy.ts";
import { eventually } from "../helpers/eventually.ts";
import { type Image, pilotfishImage, programImage, shellImage } from "../helpers/kubelet/image.ts";
import { Kubelet } from "../helpers/kubelet/kubelet.ts";
import type { Pod } from "../helpers/kubelet/pod.ts";
import { type Prober, startProber } from "../helpers/kubelet/prober.ts";
import { makePodAndPeer, type Namespace } from "../helpers/network-namespaces.ts";
import { root, temporaryFolder } from "../helpers/paths.ts";
import { configOf, folder as goldens } from "../inject/golden-cases.ts";

/**
 * The injected pod really runs: a stand-in for the kubelet starts what injection made, as it stands: our capture rules,
 * our proxy as PID 1 on a real Envoy, an application, probes, hooks, volumes, users and capabilities. Who the peer saw
 * tells whether a request went through Envoy: out of it comes everything from .9, into the application from 127.0.0.6.
 */
const folder = temporaryFolder("pod");
const images = new Map<string, Image>();
const undo: (() => unknown)[] = [];

beforeAll(() => {
  images.set("pilotfish/proxy:0.0.0-golden", pilotfishImage(folder.path));
  images.set("app", programImage("pod-app.mjs"));
  images.set("sh", shellImage);
});
afterEach(async () => {
  for (const step of undo.splice(0).reverse()) await step();
});
afterAll(folder.done);

const imageOf = (name: string): Image => {
  const image = images.get(name) ?? images.get("app");
  if (image === undefined) throw new Error(`no image ${name}`);
  return image;
};

/** Envoy's own configuration comes as a config map, by the annotations that a user would write. */
const annotations = {
  "proxy.istio.io/config": JSON.stringify({ customConfigFile: "/etc/istio/custom/envoy.json", concurrency: 1 }),
  "sidecar.istio.io/userVolume": JSON.stringify({ custom: { configMap: { name: "envoy" } } }),
  "sidecar.istio.io/userVolumeMount": JSON.stringify({ custom: { mountPath: "/etc/istio/custom" } }),
};

interface World {
  readonly kubelet: Kubelet;
  readonly client: Prober;
  readonly pod: Namespace;
}

interface More {
  readonly preStop?: "first" | "after-application";
  /** The injector's configuration, in YAML. */
  readonly config?: string;
  /** TPROXY: the mark of what Envoy sends with its client's address. */
  readonly mark?: number;
  /** What a CNI plugin does, before the kubelet starts anything. */
  readonly plugin?: (pod: Namespace) => void;
}

async function run(manifest: JsonObject, mode: Mode, more: More = {}): Promise<World> {
  const { document, outcomes } = injectDocument(manifest, { namespace: "default", mode }, configOf(more.config));
  expect(outcomes.map((one) => one.done)).toMatchObject([{ kind: "injected", mode }]);
  const spec = objectAt(document, podPlace(document)?.path ?? []) as unknown as Pod;
  // The static configuration's readiness listener asks the status port, as the mesh's own one does.
  const statusPort = spec.metadata.annotations?.["status.sidecar.istio.io/port"] ?? "15020";
  const mark = more.mark === undefined ? {} : { transparentMark: more.mark };
  const bootstrap = { outboundSource: "10.77.0.9", ...mark };
  const { pod, peer, done } = makePodAndPeer(["10.77.0.2/24", "10.77.0.9/24"], ["10.77.0.3/24"]);
  undo.push(done);
  more.plugin?.(pod);
  const client = await startProber(peer.prefix);
  undo.push(() => client.done());
  const kubelet = new Kubelet(
    { ...spec, metadata: { name: "pod-1", namespace: "default", ...spec.metadata } },
    {
      node: peer.prefix,
      network: pod.path,
      images: imageOf,
      sidecarPreStop: more.preStop ?? "after-application",
      facts: {
        podIp: "10.77.0.2",
        hostIp: "10.77.0.3",
        nodeName: "node-1",
        configMaps: {
          envoy: {
            "envoy.json": JSON.stringify(captureBootstrap(bootstrap)).replaceAll("15020", statusPort),
          },
          "istio-ca-root-cert": { "root-cert.pem": "" },
        },
      },
    },
  );
  undo.push(() => kubelet.done());
  const service = startPeer(peer);
  undo.push(service.done);
  await eventually("the other service listens", async () => (await client.get("10.77.0.3", 9999, "/")) !== "");
  return { kubelet, client, pod };
}

/** Another service, outside of the pod. */
function startPeer(peer: Namespace): { readonly done: () => Promise<unknown> } {
  const program = join(import.meta.dirname, "../programs/pod-app.mjs");
  const child = spawn("nsenter", [...peer.prefix.slice(1), process.execPath, program, "9999", "peer"], {
    stdio: "ignore",
  });
  const gone = new Promise((resolve) => child.once("exit", resolve));
  return {
    done: () => {
      child.kill("SIGKILL");
      return gone;
    },
  };
}

const withAnnotations = (
  manifest: JsonObject,
  path: readonly string[],
  more: Readonly<Record<string, string>> = {},
): JsonObject => {
  const copy = structuredClone(manifest) as Record<string, unknown>;
  let at = copy;
  for (const step of [...path, "metadata"]) {
    at[step] ??= {};
    at = at[step] as Record<string, unknown>;
  }
  at["annotations"] = { ...(at["annotations"] as object | undefined), ...annotations, ...more };
  return copy as JsonObject;
};

/** seeds/000's productpage, with the probes and hooks that a careful author gives it. */
function productpage(more: Readonly<Record<string, string>> = {}): JsonObject {
  const seed = parse(readFileSync(join(goldens, "seed-productpage/pod.yaml"), "utf8")) as JsonObject;
  const manifest = structuredClone(withAnnotations(seed, ["spec", "template"], more)) as unknown as {
    spec: { template: { spec: { containers: Record<string, unknown>[]; initContainers?: unknown } } };
  };
  const [container] = manifest.spec.template.spec.containers;
  Object.assign(container ?? {}, {
    args: ["9080"],
    readinessProbe: { httpGet: { path: "/", port: 9080 }, timeoutSeconds: 2 },
    livenessProbe: { tcpSocket: { port: 9080 }, timeoutSeconds: 2 },
    startupProbe: { httpGet: { path: "/", port: 9080 }, timeoutSeconds: 2 },
  });
  manifest.spec.template.spec.initContainers = [{ name: "mine", image: "sh", args: ["-c", "echo mine; id -u"] }];
  return manifest as unknown as JsonObject;
}

/** Both directions through Envoy, and the kubelet's questions answered. */
async function serves({ kubelet, client }: World): Promise<void> {
  await kubelet.ready();
  expect(await client.get("10.77.0.2", 9080, "/")).toBe("app saw 127.0.0.6\n");
  expect(await client.get("10.77.0.2", 9080, "/out?host=10.77.0.3&port=9999")).toBe("peer saw 10.77.0.9\n");
  expect(await kubelet.alive()).toBe(true);
  // The image is whole: what it lacks, the proxy says.
  expect(kubelet.container("istio-proxy").output).not.toContain("Orphans are not reaped");
}

const job = (command: readonly string[], more: JsonObject = {}): JsonObject =>
  withAnnotations(
    {
      apiVersion: "batch/v1",
      kind: "Job",
      metadata: { name: "report" },
      spec: {
        template: {
          spec: {
            restartPolicy: "Never",
            ...more,
            containers: [{ name: "report", image: "sh", command: [...command] }],
          },
        },
      },
    },
    ["spec", "template"],
  );

const call = "http://10.77.0.3:9999/";

describe("the injected pod", () => {
  test.each(["after-application", "first"] as const)(
    "native: productpage (preStop of sidecars: %s)",
    async (preStop) => {
      // With another status port everything moves with it: probes, exclusions, the drain hook, the proxy itself.
      const world = await run(
        productpage(preStop === "first" ? { "status.sidecar.istio.io/port": "25020" } : {}),
        "native",
        { preStop },
      );
      await world.kubelet.start();
      await serves(world);
      expect(world.kubelet.history.slice(0, 8)).toEqual([
        "started istio-init",
        "ended istio-init 0",
        "started istio-proxy",
        "up istio-proxy",
        "started mine",
        "ended mine 0",
        "started productpage",
        "ready istio-proxy",
      ]);
      await world.kubelet.stop();
      const last = world.kubelet.history.slice(9);
      expect(last.toSorted()).toEqual(["ended istio-proxy 0", "ended productpage 0", "preStop istio-proxy done"]);
      expect(last.at(-1)).toBe("ended istio-proxy 0");
    },
  );

  test("classic: productpage, held until the proxy serves", async () => {
    const manifest = productpage();
    const held = JSON.stringify(manifest).replace(
      '\\"concurrency\\":1',
      '\\"concurrency\\":1,\\"holdApplicationUntilProxyStarts\\":true',
    );
    const world = await run(JSON.parse(held) as JsonObject, "classic");
    await world.kubelet.start();
    await serves(world);
    expect(world.kubelet.history.slice(0, 7)).toEqual([
      "started mine",
      "ended mine 0",
      "started istio-init",
      "ended istio-init 0",
      "started istio-proxy",
      "postStart istio-proxy done",
      "started productpage",
    ]);
    await world.kubelet.stop();
    expect(world.kubelet.endOf("istio-proxy")).toEqual({ code: 0, signal: null });
  });

  test("the user's init containers run in the mesh when native, before it when classic", async () => {
    const wait = { name: "wait", image: "sh", args: ["-c", `curl -sS --max-time 5 ${call}`] };
    for (const [mode, saw] of [
      ["native", "10.77.0.9"],
      ["classic", "10.77.0.2"],
    ] as const) {
      const { kubelet } = await run(job(["true"], { initContainers: [wait] }), mode);
      await kubelet.start();
      expect(kubelet.container("wait").output).toBe(`peer saw ${saw}\n`);
      await kubelet.done();
    }
  });

  test.each([
    [0, "Succeeded"],
    [3, "Failed"],
  ])("native: a Job that ends with %i is %s, and the sidecar goes with it", async (code, phase) => {
    const { kubelet } = await run(job(["sh", "-c", `curl -sS ${call} && exit ${code}`]), "native");
    await kubelet.start();
    expect(await kubelet.completed()).toBe(phase);
    expect(kubelet.container("report").output).toBe("peer saw 10.77.0.9\n");
    expect(kubelet.endOf("report")?.code).toBe(code);
    expect(kubelet.endOf("istio-proxy")).toEqual({ code: 0, signal: null });
  });

  test("classic: a Job that tells the proxy to quit ends by itself", async () => {
    const script = `until curl -sf http://127.0.0.1:15021/healthz/ready; do sleep 0.1; done; curl -sS ${call} && curl -sS -X POST http://127.0.0.1:15020/quitquitquit`;
    const { kubelet } = await run(job(["sh", "-c", script]), "classic");
    await kubelet.start();
    expect(await kubelet.completed()).toBe("Succeeded");
    expect(kubelet.container("report").output).toContain("peer saw 10.77.0.9");
    expect(kubelet.history).not.toContain("SIGKILL istio-proxy");
  });

  test("classic: a Job run by `wait --then-quit` ends by itself, with the command's code", async () => {
    const words = ["pilotfish", "wait", "--then-quit", "--", "sh", "-c", `curl -sS ${call}; exit 4`];
    const manifest = JSON.stringify(job(words)).replace(
      '"image":"sh"',
      '"image":"pilotfish/proxy:0.0.0-golden","securityContext":{"runAsUser":1000}',
    );
    const { kubelet } = await run(JSON.parse(manifest) as JsonObject, "classic");
    await kubelet.start();
    expect(await kubelet.completed()).toBe("Failed");
    expect(kubelet.endOf("report")).toEqual({ code: 4, signal: null });
    expect(kubelet.container("report").output).toContain("peer saw 10.77.0.9");
    expect(kubelet.endOf("istio-proxy")).toEqual({ code: 0, signal: null });
  });

  test("TPROXY: the proxy is root with one capability, and the application sees its caller", async () => {
    const world = await run(productpage({ "sidecar.istio.io/interceptionMode": "TPROXY" }), "native", { mark: 1337 });
    await world.kubelet.start();
    await world.kubelet.ready();
    expect(await world.client.get("10.77.0.2", 9080, "/")).toBe("app saw 10.77.0.3\n");
    expect(await world.client.get("10.77.0.2", 9080, "/out?host=10.77.0.3&port=9999")).toBe("peer saw 10.77.0.9\n");
  });

  test("a proxy that the user lets run as another user is exempt from the rules", async () => {
    const manifest = structuredClone(productpage()) as unknown as {
      spec: { template: { spec: { containers: unknown[] } } };
    };
    manifest.spec.template.spec.containers.push({
      name: "istio-proxy",
      image: "auto",
      securityContext: { runAsUser: 1234 },
    });
    const world = await run(manifest as unknown as JsonObject, "native");
    await world.kubelet.start();
    await serves(world);
    expect(world.kubelet.history).toContain("ended istio-init 0");
  });

  test("with a CNI plugin the init container proves the rules and needs nothing", async () => {
    const words = "istio-iptables -p 15001 -z 15006 -u 1337 -m REDIRECT -i * -x  -b * -d 15090,15021,15020".split(" ");
    const world = await run(productpage(), "native", {
      config: "init: {cni: true}",
      plugin: (pod) => expect(command(pod, words)).toMatchObject({ code: 0 }),
    });
    await world.kubelet.start();
    await serves(world);
    expect(world.kubelet.history.slice(0, 3)).toEqual([
      "started istio-validation",
      "ended istio-validation 0",
      "started istio-proxy",
    ]);
  });

  test("with a CNI plugin that laid no rules nothing starts", async () => {
    const { kubelet } = await run(productpage(), "native", { config: "init: {cni: true}" });
    await expect(kubelet.start()).rejects.toThrow("init container istio-validation failed");
    expect(kubelet.history).toEqual(["started istio-validation", "ended istio-validation 126"]);
  });

  test("the gateway of deploy/ is a proxy alone, that serves and ends", async () => {
    const text = readFileSync(join(root, "deploy/gateway/gateway.yaml"), "utf8");
    const deployment = parseAllDocuments(text)
      .find((one) => one.get("kind") === "Deployment")
      ?.toJS() as JsonObject;
    const { kubelet } = await run(withAnnotations(deployment, ["spec", "template"]), "classic");
    await kubelet.start();
    await kubelet.ready();
    await kubelet.stop();
    expect(kubelet.history).toEqual(["started istio-proxy", "ready istio-proxy", "ended istio-proxy 0"]);
  });
});
