import { execFileSync } from "node:child_process";
import { injectDocument } from "../../../src/inject/inject-document.ts";
import type { Mode } from "../../../src/inject/injector-config.ts";
import type { JsonObject } from "../../../src/inject/json-value.ts";
import { objectAt, podPlace } from "../../../src/inject/pod-kinds.ts";
import { configOf } from "../../inject/golden-cases.ts";
import { captureBootstrap } from "../capture-proxy.ts";
import { makeNamespace, type Namespace } from "../network-namespaces.ts";
import { temporaryFolder } from "../paths.ts";
import { type Image, pilotfishImage, programImage, shellImage } from "./image.ts";
import { Kubelet } from "./kubelet.ts";
import type { Pod } from "./pod.ts";

/** The service's own address, which no machine has: it is translated as kube-proxy does. */
export const serviceHost = "10.96.0.10";
export const servicePort = 9080;

/** A pod of the cluster, injected and run by a kubelet of its own. */
export interface ClusterPod {
  readonly address: string;
  readonly kubelet: Kubelet;
  readonly namespace: Namespace;
  /** Processes that are there in the pod's network, whoever started them. */
  processes(): readonly number[];
  /** Takes the pod's network away; whatever was left there goes, too. */
  done(): Promise<void>;
}

export interface PodOptions {
  readonly mode: Mode;
  /** More flags for our proxy. */
  readonly proxyFlags?: readonly string[];
}

/**
 * One machine with a bridge, pods on it, and one service: connections to the service's address are spread over its
 * endpoints by the kernel, new ones only, as kube-proxy's rules do it.
 */
export class SmallCluster {
  readonly node = makeNamespace("node");
  readonly #folder = temporaryFolder("cluster");
  readonly #images: ReadonlyMap<string, Image>;
  readonly #pods: ClusterPod[] = [];
  #made = 0;

  constructor() {
    this.node.sh("ip", "link", "add", "br0", "type", "bridge");
    this.node.sh("ip", "addr", "add", "10.78.0.1/16", "dev", "br0");
    this.node.sh("ip", "link", "set", "br0", "up");
    this.node.sh("ip", "route", "add", "10.96.0.0/16", "dev", "br0");
    this.node.sh(
      "sh",
      "-c",
      "nft add table ip service; nft add chain ip service out '{ type nat hook output priority -100; }'",
    );
    this.#images = new Map([
      ["pilotfish/proxy:0.0.0-golden", pilotfishImage(this.#folder.path)],
      ["app", programImage("rolling-app.mjs")],
      ["sh", shellImage],
    ]);
  }

  /** New connections to the service go to these pods from now on; those that are there stay where they are. */
  endpoints(pods: readonly ClusterPod[]): void {
    const map = pods.map(({ address }, index) => `${index} : ${address}`).join(", ");
    const rule = `add rule ip service out ip daddr ${serviceHost} tcp dport ${servicePort} dnat to numgen inc mod ${pods.length} map { ${map} }`;
    const [first = "", ...rest] = this.node.prefix;
    execFileSync(first, [...rest, "nft", "-f", "-"], { input: `flush chain ip service out\n${rule}\n` });
  }

  /** Injects the pod of `manifest` and gives it a network; its kubelet has not started anything yet. */
  pod(manifest: JsonObject, { mode, proxyFlags = [] }: PodOptions): ClusterPod {
    const { document } = injectDocument(manifest, { namespace: "default", mode }, configOf(undefined));
    const spec = withFlags(objectAt(document, podPlace(document)?.path ?? []) as unknown as Pod, proxyFlags);
    const number = this.#made++;
    const address = `10.78.${1 + Math.floor(number / 250)}.${1 + (number % 250)}`;
    const namespace = this.#connected(number, address);
    const kubelet = new Kubelet(
      { ...spec, metadata: { name: `pod-${number}`, namespace: "default", ...spec.metadata } },
      {
        node: this.node.prefix,
        network: namespace.path,
        images: (name) => this.#imageOf(name),
        sidecarPreStop: "first",
        facts: {
          podIp: address,
          hostIp: "10.78.0.1",
          nodeName: "node-1",
          configMaps: {
            envoy: { "envoy.json": JSON.stringify(httpBootstrap(address)) },
            "istio-ca-root-cert": { "root-cert.pem": "" },
          },
        },
      },
    );
    const made: ClusterPod = {
      address,
      kubelet,
      namespace,
      processes: () => processesIn(namespace),
      done: async () => {
        await kubelet.done();
        namespace.done();
      },
    };
    this.#pods.push(made);
    return made;
  }

  async done(): Promise<void> {
    await Promise.all(this.#pods.map((one) => one.done()));
    this.node.done();
    this.#folder.done();
  }

  #connected(number: number, address: string): Namespace {
    const namespace = makeNamespace(`pod${number}`);
    const end = `v${number}`;
    this.node.sh("ip", "link", "add", end, "type", "veth", "peer", "name", "eth0", "netns", namespace.name);
    this.node.sh("ip", "link", "set", end, "master", "br0", "up");
    namespace.sh("ip", "addr", "add", `${address}/16`, "dev", "eth0");
    namespace.sh("ip", "link", "set", "eth0", "up");
    return namespace;
  }

  #imageOf(name: string): Image {
    const image = this.#images.get(name);
    if (image === undefined) throw new Error(`no image ${name}`);
    return image;
  }
}

const processesIn = ({ name }: Namespace): readonly number[] =>
  execFileSync("ip", ["netns", "pids", name], { encoding: "utf8" }).split("\n").filter(Boolean).map(Number);

function withFlags(pod: Pod, flags: readonly string[]): Pod {
  const more = (list: Pod["spec"]["containers"] = []) =>
    list.map((one) => (one.name === "istio-proxy" ? { ...one, args: [...(one.args ?? []), ...flags] } : one));
  const { containers, initContainers } = pod.spec;
  return { ...pod, spec: { ...pod.spec, containers: more(containers), initContainers: more(initContainers) } };
}

interface Bootstrap {
  readonly static_resources: { readonly listeners: readonly { readonly name: string }[] };
}

/** The capture listeners; the inbound one is the mesh's: it speaks HTTP, and says that it is one, for the drain. */
function httpBootstrap(address: string): object {
  const bootstrap = captureBootstrap({ outboundSource: address }) as Bootstrap;
  const routes = [{ match: { prefix: "/" }, route: { cluster: "inbound", timeout: "0s" } }];
  const type = (name: string) => `type.googleapis.com/envoy.extensions.filters.${name}`;
  const typed_config = {
    "@type": type("network.http_connection_manager.v3.HttpConnectionManager"),
    stat_prefix: "inbound",
    drain_timeout: "1s",
    route_config: { virtual_hosts: [{ name: "app", domains: ["*"], routes }] },
    http_filters: [{ name: "envoy.filters.http.router", typed_config: { "@type": type("http.router.v3.Router") } }],
  };
  const filters = [{ name: "envoy.filters.network.http_connection_manager", typed_config }];
  const listeners = bootstrap.static_resources.listeners.map((one) =>
    one.name === "inbound" ? { ...one, traffic_direction: "INBOUND", filter_chains: [{ filters }] } : one,
  );
  return { ...bootstrap, static_resources: { ...bootstrap.static_resources, listeners } };
}

/** What a user writes so that Envoy's own configuration comes as a config map, and nobody needs a control plane. */
export const customEnvoy = {
  "proxy.istio.io/config": JSON.stringify({ customConfigFile: "/etc/istio/custom/envoy.json", concurrency: 1 }),
  "sidecar.istio.io/userVolume": JSON.stringify({ custom: { configMap: { name: "envoy" } } }),
  "sidecar.istio.io/userVolumeMount": JSON.stringify({ custom: { mountPath: "/etc/istio/custom" } }),
};
