import type { AgentConfig } from "../config/agent-config.ts";

/**
 * A configuration that was read anew, for an agent that runs already. What Envoy is started with may change; what the
 * agent itself was built from stays, or Envoy would be told of ports and sockets that nobody serves.
 */
export interface KeptSettings {
  readonly config: AgentConfig;
  /** One sentence for each setting that changed and has to wait for the next start of the agent. */
  readonly notices: readonly string[];
}

interface Part {
  readonly name: string;
  readonly of: (config: AgentConfig) => unknown;
}

const parts: readonly Part[] = [
  { name: "the status port", of: ({ ports }) => ports.status },
  { name: "configPath", of: ({ bootstrap }) => bootstrap.directory },
  { name: "the address of the control plane", of: ({ proxy }) => proxy.discoveryAddress },
  { name: "settings of certificates", of: ({ identity }) => identity },
  { name: "settings of the control plane's connection", of: ({ xds }) => xds },
  { name: "drain times of a stop", of: ({ stop }) => stop },
  { name: "scrape targets", of: ({ metrics }) => metrics },
];

export function keepSettings(first: AgentConfig, fresh: AgentConfig): KeptSettings {
  const changed = parts.filter(({ of }) => text(of(first)) !== text(of(fresh)));
  return {
    config: {
      ...fresh,
      role: first.role,
      ports: { ...fresh.ports, status: first.ports.status },
      bootstrap: { ...fresh.bootstrap, directory: first.bootstrap.directory },
      proxy: { ...fresh.proxy, discoveryAddress: first.proxy.discoveryAddress },
      identity: first.identity,
      xds: first.xds,
    },
    notices: changed.map(({ name }) => `${name} changed too, but that takes effect with the next start of pilotfish`),
  };
}

const text = (value: unknown): string =>
  JSON.stringify(value, (_, one: unknown) => (one instanceof Map ? [...one] : one instanceof Set ? [...one] : one)) ??
  "";
