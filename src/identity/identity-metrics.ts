import type { Millis } from "../foundation/time.ts";

/** What identity counts, as plain functions; the names are those of the peer's metrics (features.md 2). */
export interface IdentityMetrics {
  /** num_outgoing_requests{request_type="csr"} */
  readonly request: () => void;
  /** num_failed_outgoing_requests */
  readonly failure: () => void;
  /** num_outgoing_retries */
  readonly retry: () => void;
  /** outgoing_latency, a sum of milliseconds. */
  readonly latency: (took: Millis) => void;
  /** num_file_secret_failures_total */
  readonly fileFailure: () => void;
  /** num_file_watcher_failures_total */
  readonly watchFailure: () => void;
}

const ignore = (): void => undefined;
export const noIdentityMetrics: IdentityMetrics = {
  request: ignore,
  failure: ignore,
  retry: ignore,
  latency: ignore,
  fileFailure: ignore,
  watchFailure: ignore,
};
