import type { WorkloadIdentity } from "../identity/workload-identity.ts";
import type { AgentMetrics } from "../metrics/agent-metrics.ts";
import type { SdsMetrics } from "../sds/sds-metrics.ts";
import { chance } from "../system/chance.ts";
import { realClock } from "../system/clock.ts";
import type { AdsProxy } from "../xds/ads-proxy.ts";
import type { XdsMetrics } from "../xds/xds-metrics.ts";
import type { AgentParts, ControlPlaneParts } from "./agent-parts.ts";
import type { Stage } from "./stage.ts";

/** What is known before Envoy is. */
type BeforeEnvoy = Pick<AgentParts, "config" | "log" | "facts" | "metrics" | "onBug"> & {
  /** Envoy was given listeners. */
  readonly onListeners: () => void;
};

export interface ControlPlaneStage extends Stage {
  /** Undefined when this bootstrap needs none, and before the start. */
  readonly parts: () => ControlPlaneParts | undefined;
}

/**
 * Certificates and configuration. Its sockets stand before Envoy starts: an Envoy that finds nobody waits half a second
 * and more before it asks again. A static configuration that asks for neither gets neither, and does not pay for them.
 */
export function controlPlaneStage(agent: BeforeEnvoy): ControlPlaneStage {
  let parts: ControlPlaneParts | undefined;
  return {
    name: "control plane",
    parts: () => parts,
    start: async () => {
      if (!isNeeded(agent)) return;
      parts = await build(agent);
      await parts.sds.listen();
      await parts.xds.listen();
      // An external secret service brings the certificate: ours would only ask a CA in vain.
      if (parts.sds.status().mode === "own" || agent.config.identity.outputCerts) parts.identity.start();
    },
    stop: async () => {
      if (parts === undefined) return;
      await Promise.all([parts.xds.close(), parts.sds.close(), parts.identity.stop()]);
    },
  };
}

const isNeeded = ({ facts, config }: BeforeEnvoy): boolean =>
  facts.usesAds || facts.secrets.length > 0 || Boolean(config.identity.outputCerts);

async function build({ config, log, metrics, onListeners, onBug: onAnyBug }: BeforeEnvoy): Promise<ControlPlaneParts> {
  const [{ controlPlaneConfig }, { createWorkloadIdentity }, { createSdsServer }, { createAdsProxy }] =
    await Promise.all([
      import("../config/control-plane-config.ts"),
      import("../identity/workload-identity.ts"),
      import("../sds/sds-server.ts"),
      import("../xds/ads-proxy.ts"),
    ]);
  const settings = controlPlaneConfig(config);
  const largest = largestRequest(metrics);
  const onBug = (error: unknown): void => {
    metrics.count("istio_agent_pilot_total_xds_internal_errors");
    onAnyBug(error);
  };
  const common = { config: settings, clock: realClock, random: chance, onBug };
  const identity = createWorkloadIdentity({
    ...common,
    log: log.scoped("identity"),
    metrics: identityMetrics(metrics),
  });
  const sds = createSdsServer({
    settings: settings.sds,
    identity,
    clock: realClock,
    debounce: settings.fileDebounce,
    log: log.scoped("sds"),
    metrics: sdsMetrics(metrics, largest),
    onFileFailure: () => metrics.count("istio_agent_num_file_secret_failures_total"),
    onBug,
  });
  const hooks = {
    onListeners,
    ...(settings.trustBundleOverXds
      ? { onTrustBundle: (roots: readonly string[]) => identity.setTrustBundle(roots) }
      : {}),
  };
  const xds = createAdsProxy({ ...common, log: log.scoped("xdsproxy"), metrics: xdsMetrics(metrics, largest), hooks });
  watchGauges(metrics, identity, xds);
  countRenewals(metrics, identity);
  return { identity, sds, xds };
}

const csr = { request_type: "csr" } as const;

function identityMetrics(metrics: AgentMetrics) {
  return {
    request: () => metrics.count("istio_agent_num_outgoing_requests", csr),
    failure: () => {
      metrics.count("istio_agent_num_failed_outgoing_requests", csr);
      metrics.count("pilotfish_certificate_renewals_total", { outcome: "failed" });
    },
    retry: () => metrics.count("istio_agent_num_outgoing_retries", csr),
    latency: (took: number) => metrics.add("istio_agent_outgoing_latency", took, csr),
    fileFailure: () => metrics.count("istio_agent_num_file_secret_failures_total"),
    watchFailure: () => metrics.count("istio_agent_num_file_watcher_failures_total"),
  };
}

/** Of secrets and of configuration together, as the peer has it. */
function largestRequest(metrics: AgentMetrics): (bytes: number) => void {
  let largest = 0;
  return (bytes) => {
    if (bytes <= largest) return;
    largest = bytes;
    metrics.set("istio_agent_pilot_xds_recv_max", bytes);
  };
}

function sdsMetrics(metrics: AgentMetrics, request: SdsMetrics["request"]): SdsMetrics {
  const type = "sds";
  return {
    request,
    sent: (took) => metrics.observe("istio_agent_pilot_xds_send_time", took / 1_000),
    reject: () => metrics.count("istio_agent_pilot_total_xds_rejects", { type }),
    expiredNonce: () => metrics.count("istio_agent_pilot_xds_expired_nonce", { type }),
  };
}

function xdsMetrics(metrics: AgentMetrics, largest: SdsMetrics["request"]): XdsMetrics {
  return {
    request: (bytes) => {
      metrics.count("istio_agent_xds_proxy_requests");
      largest(bytes);
    },
    response: () => {
      metrics.count("istio_agent_xds_proxy_responses");
      metrics.set("pilotfish_control_plane_last_response_timestamp_seconds", realClock.wall().getTime() / 1_000);
    },
    upstreamFailure: () => metrics.count("istio_agent_istiod_connection_failures"),
    upstreamTermination: (type) => metrics.count("istio_agent_istiod_connection_terminations", { type }),
    envoyTermination: (type) => metrics.count("istio_agent_envoy_connection_terminations", { type }),
    reject: (type) => {
      metrics.count("pilotfish_config_rejections_total", { type });
      metrics.count("istio_agent_pilot_total_xds_rejects", { type: type.toLowerCase() });
    },
  };
}

/** Identity tells every change, of roots too; its own count tells certificates. */
function countRenewals(metrics: AgentMetrics, identity: WorkloadIdentity): void {
  let known = 0;
  identity.onChange(() => {
    const { rotations } = identity.status();
    if (rotations > known) metrics.add("pilotfish_certificate_renewals_total", rotations - known, { outcome: "done" });
    known = rotations;
  });
}

/** Read at each scrape. */
function watchGauges(metrics: AgentMetrics, identity: WorkloadIdentity, xds: AdsProxy): void {
  metrics.watch("istio_agent_cert_expiry_seconds", () =>
    identity.status().expiries.map(({ resourceName, notAfter }) => ({
      labels: { resource_name: resourceName },
      value: (notAfter.getTime() - realClock.wall().getTime()) / 1_000,
    })),
  );
  metrics.watch("pilotfish_certificate_expiry_timestamp_seconds", () =>
    identity.status().expiries.map(({ resourceName, notAfter }) => ({
      labels: { resource_name: resourceName },
      value: notAfter.getTime() / 1_000,
    })),
  );
  metrics.watch("pilotfish_control_plane_connected", () => [
    { labels: {}, value: xds.status().streams.some((one) => one.state === "open") ? 1 : 0 },
  ]);
}

/** For SIGQUIT and the status page: what is known of the control plane, in words. */
export function controlPlaneFacts(parts: ControlPlaneParts | undefined): Readonly<Record<string, unknown>> {
  if (parts === undefined) return { used: false };
  return { certificate: parts.identity.status(), secrets: parts.sds.status(), discovery: parts.xds.status() };
}
