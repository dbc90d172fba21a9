import { proxyOptions } from "../../src/cli/options/proxy-options.ts";
import { parseArguments } from "../../src/cli/parse-arguments.ts";
import type { AgentConfig } from "../../src/config/agent-config.ts";
import { buildAgentConfig } from "../../src/config/build-agent-config.ts";
import type { ConfigInput } from "../../src/config/config-sources.ts";
import { readYaml } from "../../src/config/yaml-reader.ts";

/** What a test says about the outside; everything else is a pod `web-1.shop` at 10.0.0.1. */
export interface ConfigCase {
  /** Words behind `proxy`. */
  readonly args?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly mesh?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly addresses?: ConfigInput["addresses"];
}

export function configInput(given: ConfigCase): ConfigInput {
  const { flags } = parseArguments(given.args ?? [], proxyOptions);
  const env = { POD_NAME: "web-1", POD_NAMESPACE: "shop", INSTANCE_IP: "10.0.0.1", ...given.env };
  const podFile = (path: string, entries: Readonly<Record<string, string>> | undefined) =>
    entries && {
      path,
      text: Object.entries(entries)
        .map(([key, value]) => `${key}=${JSON.stringify(value)}`)
        .join("\n"),
    };
  return {
    positionals: flags.positionals,
    rest: flags.rest ?? [],
    flags: flags.values,
    problems: flags.problems,
    notices: [],
    env: new Map(Object.entries(env)),
    mesh: given.mesh === undefined ? undefined : { path: "./etc/istio/config/mesh", text: given.mesh },
    labels: podFile("./etc/istio/pod/labels", given.labels),
    annotations: podFile("./etc/istio/pod/annotations", given.annotations),
    addresses: given.addresses ?? [{ interfaceName: "eth0", address: "10.0.0.1", loopback: false, linkLocal: false }],
    read: readYaml,
  };
}

/** A real configuration, built as the program builds it: what a test needs of AgentConfig in one line. */
export const agentConfig = (given: ConfigCase = {}): AgentConfig => buildAgentConfig(configInput(given));
