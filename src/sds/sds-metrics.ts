import type { Millis } from "../foundation/time.ts";

/** What the secret service counts, as plain functions; the names are those of the peer's metrics (features.md 2). */
export interface SdsMetrics {
  /** pilot_xds_recv_max: a request of so many bytes came. */
  readonly request: (bytes: number) => void;
  /** pilot_xds_send_time */
  readonly sent: (took: Millis) => void;
  /** pilot_total_xds_rejects{type="sds"}: Envoy refused a secret. */
  readonly reject: () => void;
  /** pilot_xds_expired_nonce{type="sds"}: an answer to a push that another one has followed. */
  readonly expiredNonce: () => void;
}

const ignore = (): void => undefined;
export const noSdsMetrics: SdsMetrics = { request: ignore, sent: ignore, reject: ignore, expiredNonce: ignore };
