import { proxyOptions } from "../../src/cli/options/proxy-options.ts";
import { parseArguments } from "../../src/cli/parse-arguments.ts";
import type {
  AgentConfig,
  BootstrapSource,
  EnvoySettings,
  NodeIdentity,
  Ports,
} from "../../src/config/agent-config.ts";
import { buildAgentConfig } from "../../src/config/build-agent-config.ts";
import type { ProxyConfig } from "../../src/config/proxy-config-types.ts";
import { readYaml } from "../../src/config/yaml-reader.ts";

/** What a pod gives its proxy: words, environment, files by path, addresses. */
export interface PodInput {
  readonly args?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly files?: Readonly<Record<string, string>>;
  /** Addresses of the pod's interface. */
  readonly addresses?: readonly string[];
}

const POD: Readonly<Record<string, string>> = {
  POD_NAME: "productpage-1",
  POD_NAMESPACE: "shop",
  SERVICE_ACCOUNT: "bookinfo-productpage",
  HOST_IP: "192.0.2.7",
};

/** The configuration as `pilotfish proxy` builds it from this, in a pod `productpage-1.shop` at 10.0.0.1. */
export function podConfig({
  args = ["proxy", "sidecar"],
  env = {},
  files = {},
  addresses = ["10.0.0.1"],
}: PodInput): AgentConfig {
  const { flags } = parseArguments(args.slice(1), proxyOptions);
  const source = (path: string) => (files[path] === undefined ? undefined : { path, text: files[path] });
  return buildAgentConfig({
    positionals: flags.positionals,
    rest: flags.rest ?? [],
    flags: flags.values,
    problems: flags.problems,
    notices: [],
    env: new Map(Object.entries({ ...POD, ...env })),
    mesh: source(flags.values.get("meshConfig")?.at(-1) ?? "./etc/istio/config/mesh"),
    labels: source("./etc/istio/pod/labels"),
    annotations: source("./etc/istio/pod/annotations"),
    addresses: addresses.map((address) => ({
      interfaceName: "eth0",
      address,
      family: address.includes(":") ? "v6" : "v4",
      loopback: false,
      linkLocal: false,
    })),
    read: readYaml,
  });
}

/** Parts of a configuration that a test sets itself; the rest is what a plain sidecar has. */
export interface Wanted {
  readonly role?: AgentConfig["role"];
  readonly node?: Partial<NodeIdentity>;
  readonly proxy?: Partial<ProxyConfig>;
  readonly mesh?: Partial<AgentConfig["mesh"]>;
  readonly ports?: Partial<Ports>;
  readonly envoy?: Partial<EnvoySettings>;
  readonly bootstrap?: Partial<BootstrapSource>;
  readonly stop?: Partial<AgentConfig["stop"]>;
}

export function configFixture(wanted: Wanted = {}): AgentConfig {
  const base = podConfig({ args: ["proxy", wanted.role ?? "sidecar"] });
  return {
    ...base,
    node: { ...base.node, ...wanted.node },
    proxy: { ...base.proxy, ...wanted.proxy },
    mesh: { ...base.mesh, ...wanted.mesh },
    ports: { ...base.ports, ...wanted.ports },
    envoy: { ...base.envoy, ...wanted.envoy },
    bootstrap: { ...base.bootstrap, ...wanted.bootstrap },
    stop: { ...base.stop, ...wanted.stop },
  };
}
