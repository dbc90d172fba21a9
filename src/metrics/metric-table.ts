/**
 * Every metric of our own, as data: the peer's names (prefix `istio_agent_`, kept word for word so that a dashboard
 * made for the peer goes on working) and ours beside them (`pilotfish_`). docs/metrics.md is compared with this table.
 */
export interface Definition {
  readonly kind: "counter" | "gauge" | "histogram";
  readonly help: string;
  /**
   * Label names with their values, which all start at 0; `text` where none is known beforehand. What starts with its
   * first event is no increase to Prometheus, so an alert on it sleeps through the first one.
   */
  readonly labels: Readonly<Record<string, readonly string[] | typeof text>>;
  readonly buckets?: readonly number[];
}

const text = "text";
/** Values that start at 0, where others may come as well. */
const atLeast = (...values: readonly string[]): readonly string[] => values;

const counter = <const L extends Definition["labels"]>(help: string, labels: L) =>
  ({ kind: "counter", help, labels }) as const;
const gauge = <const L extends Definition["labels"]>(help: string, labels: L) =>
  ({ kind: "gauge", help, labels }) as const;
const histogram = (help: string, buckets: readonly number[]) =>
  ({ kind: "histogram", help, labels: {}, buckets }) as const;

const ending = ["cancelled", "error"] as const;
/** What the certificate authority is asked for. */
const requests = ["csr"] as const;
/** What an Envoy of our bootstraps is told of by the control plane; of another type the name of its message. */
const discovered = atLeast("CDS", "EDS", "LDS", "RDS", "SDS", "ECDS");
/** Seconds from 10 ms to 5 min: a hot restart and a drain take from moments to the pod's grace period. */
const lifeBuckets = [0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300];

/** The names of the peer that mean something here (features.md 2); those of its WebAssembly cache do not, and what its shared server counts for istiod alone. */
export const peerMetrics = {
  istio_agent_startup_duration_seconds: gauge("Time from the start of the agent until Envoy was ready.", {}),
  istio_agent_scrapes_total: counter("Scrapes of the merged page.", {}),
  istio_agent_scrape_failures_total: counter("Sources that failed during a scrape of the merged page.", {
    type: ["envoy", "application", "agent"],
  }),
  istio_agent_istiod_connection_failures: counter("Connections to the control plane that could not be made.", {}),
  istio_agent_istiod_connection_terminations: counter("Connections to the control plane that ended.", { type: ending }),
  istio_agent_envoy_connection_terminations: counter("Envoy's discovery connections that ended.", { type: ending }),
  istio_agent_xds_proxy_requests: counter("Discovery requests passed on to the control plane.", {}),
  istio_agent_xds_proxy_responses: counter("Discovery responses passed on to Envoy.", {}),
  istio_agent_dns_requests_total: counter("DNS requests.", {}),
  istio_agent_dns_upstream_requests_total: counter("DNS requests forwarded to the resolver of the pod.", {}),
  istio_agent_dns_upstream_failures_total: counter("Forwarded DNS requests that failed.", {}),
  istio_agent_dns_upstream_request_duration_seconds: histogram(
    "Time that forwarded DNS requests took.",
    [0.001, 0.005, 0.01, 0.1, 1, 5],
  ),
  istio_agent_num_outgoing_requests: counter("Requests to the certificate authority.", { request_type: requests }),
  istio_agent_num_failed_outgoing_requests: counter("Requests to the certificate authority that failed.", {
    request_type: requests,
  }),
  istio_agent_num_outgoing_retries: counter("Requests to the certificate authority that were tried again.", {
    request_type: requests,
  }),
  istio_agent_outgoing_latency: counter("Time spent in requests to the certificate authority, in milliseconds.", {
    request_type: requests,
  }),
  istio_agent_num_file_watcher_failures_total: counter("Certificate files that could not be watched.", {}),
  istio_agent_num_file_secret_failures_total: counter("Certificate files that could not be used.", {}),
  istio_agent_cert_expiry_seconds: gauge("Seconds until the certificate expires; negative when it has.", {
    resource_name: text,
  }),
  istio_agent_pilot_xds_recv_max: gauge("Largest request of Envoy, in bytes.", {}),
  istio_agent_pilot_xds_send_time: histogram(
    "Time that sending a secret to Envoy took.",
    [0.01, 0.1, 1, 3, 5, 10, 20, 30],
  ),
  istio_agent_pilot_total_xds_rejects: counter("Configurations and secrets that Envoy refused.", { type: text }),
  istio_agent_pilot_total_xds_internal_errors: counter(
    "Bugs of ours on the way between Envoy and the control plane.",
    {},
  ),
  istio_agent_pilot_xds_expired_nonce: counter("Answers of Envoy to a secret that a newer one had followed.", {
    type: text,
  }),
} as const satisfies Readonly<Record<string, Definition>>;

export const ourMetrics = {
  pilotfish_build_info: gauge("Version of this agent; always 1.", { version: text, commit: text, node: text }),
  pilotfish_ready: gauge("1 while a readiness probe is answered with 200; judged anew at each scrape.", {}),
  pilotfish_readiness_probes_total: counter("Readiness probes by their answer.", { result: ["ready", "not_ready"] }),
  pilotfish_envoy_epoch: gauge("Epoch of the Envoy that serves: 0 for the first, one more with each hot restart.", {}),
  pilotfish_envoy_state: gauge("1 for the state that Envoy is in, 0 for the others.", {
    state: ["disabled", "starting", "live", "draining", "stopping", "stopped"],
  }),
  pilotfish_envoy_processes: gauge("Envoy processes that are alive; two during a hot restart.", {}),
  pilotfish_envoy_exits_total: counter("Envoy processes that ended, and how.", {
    how: ["asked", "code", "signal", "out_of_memory"],
  }),
  pilotfish_envoy_restarts_total: counter("Replacements of Envoy: why, and what became of them.", {
    // By SIGHUP; by the command or POST; a watched file; its end unasked; a hang that the watchdog saw.
    cause: ["signal", "request", "change", "crash", "watchdog"],
    outcome: ["done", "failed", "refused", "overtaken"],
  }),
  pilotfish_hot_restart_available: gauge(
    "1 while Envoy can be replaced by a hot restart, 0 when it runs with that off.",
    {},
  ),
  pilotfish_hot_restart_duration_seconds: histogram(
    "Time from the start of a new Envoy until it was live in place of the one before.",
    lifeBuckets,
  ),
  pilotfish_hot_restart_overlap_seconds: histogram(
    "Time for which the Envoy before went on with what it had after the new one was live.",
    lifeBuckets,
  ),
  pilotfish_preflight_refusals_total: counter("Replacements of Envoy that were refused beforehand, by the check.", {
    check: ["bootstrap", "binary", "shared-memory", "memory", "control-plane"],
  }),
  pilotfish_kept_sockets: gauge("Listen sockets of Envoy that are held so that its death refuses nobody.", {}),
  pilotfish_drains_total: counter("Drains of Envoy that were begun.", {}),
  pilotfish_drain_duration_seconds: histogram("Time from the start of a drain to its end.", lifeBuckets),
  pilotfish_orphans_reaped_total: counter("Dead processes of others that were taken off the process table.", {}),
  pilotfish_control_plane_connected: gauge("1 while there is a discovery stream to the control plane.", {}),
  pilotfish_control_plane_last_response_timestamp_seconds: gauge(
    "Unix time of the last discovery response from the control plane.",
    {},
  ),
  pilotfish_config_rejections_total: counter("Discovery responses that Envoy refused, by resource type.", {
    type: discovered,
  }),
  pilotfish_certificate_renewals_total: counter("Attempts to get a workload certificate.", {
    outcome: ["done", "failed"],
  }),
  pilotfish_certificate_expiry_timestamp_seconds: gauge("Unix time at which the certificate expires.", {
    resource_name: text,
  }),
  pilotfish_scrape_source_failures_total: counter("Sources of the merged page that failed, by cause.", {
    source: text,
    cause: text,
  }),
  pilotfish_scrapes_refused_total: counter("Scrapes that were refused because too many were under way.", {}),
} as const satisfies Readonly<Record<string, Definition>>;

export const metricTable = { ...peerMetrics, ...ourMetrics };

type Table = typeof metricTable;
export type MetricName = keyof Table;
type OfKind<K extends Definition["kind"]> = { [N in MetricName]: Table[N]["kind"] extends K ? N : never }[MetricName];
export type CounterName = OfKind<"counter">;
export type GaugeName = OfKind<"gauge">;
export type HistogramName = OfKind<"histogram">;

/** The labels that a metric wants: each a text, or one of the values that the table lists and closes. */
export type LabelsOf<N extends MetricName> = {
  readonly [L in keyof Table[N]["labels"]]: Table[N]["labels"][L] extends readonly (infer V)[] ? V : string;
};
