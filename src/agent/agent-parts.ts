import type { BootstrapFacts } from "../bootstrap/render-bootstrap.ts";
import type { AgentConfig } from "../config/agent-config.ts";
import type { Log } from "../foundation/log.ts";
import type { WorkloadIdentity } from "../identity/workload-identity.ts";
import type { AgentMetrics } from "../metrics/agent-metrics.ts";
import type { EnvoyAdmin } from "../process/envoy-admin.ts";
import type { EnvoyPort } from "../process/envoy-port.ts";
import type { SdsServer } from "../sds/sds-server.ts";
import type { LifecycleEvents } from "../status/lifecycle-events.ts";
import type { AdsProxy } from "../xds/ads-proxy.ts";

/** What every stage gets: the finished results of what stands before it. */
export interface AgentParts {
  readonly config: AgentConfig;
  readonly env: ReadonlyMap<string, string>;
  readonly log: Log;
  readonly facts: BootstrapFacts;
  readonly admin: EnvoyAdmin;
  readonly envoy: EnvoyPort;
  readonly metrics: AgentMetrics;
  readonly controlPlane: () => ControlPlaneParts | undefined;
  readonly build: BuildFacts;
  /** What happened last, for the status page. */
  readonly events: LifecycleEvents;
  readonly onBug: (error: unknown) => void;
}

/** Which build this is and what runs it. */
export interface BuildFacts {
  readonly version: string;
  readonly commit: string;
  readonly node: string;
}

/** What stands between Envoy and the control plane. */
export interface ControlPlaneParts {
  readonly identity: WorkloadIdentity;
  readonly sds: SdsServer;
  readonly xds: AdsProxy;
}
