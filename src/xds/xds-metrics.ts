/** What the proxy counts, as plain functions; the names are those of the peer's metrics (features.md 2). */
export interface XdsMetrics {
  /** xds_proxy_requests, and pilot_xds_recv_max: one of so many bytes. */
  readonly request: (bytes: number) => void;
  /** xds_proxy_responses */
  readonly response: () => void;
  /** istiod_connection_failures */
  readonly upstreamFailure: () => void;
  /** istiod_connection_terminations{type} */
  readonly upstreamTermination: (type: "cancelled" | "error") => void;
  /** envoy_connection_terminations{type} */
  readonly envoyTermination: (type: "cancelled" | "error") => void;
  /** pilot_total_xds_rejects{type}: Envoy refused a response, of `CDS`, `LDS`, … */
  readonly reject: (type: string) => void;
}

const ignore = (): void => undefined;
export const noXdsMetrics: XdsMetrics = {
  request: ignore,
  response: ignore,
  upstreamFailure: ignore,
  upstreamTermination: ignore,
  envoyTermination: ignore,
  reject: ignore,
};
