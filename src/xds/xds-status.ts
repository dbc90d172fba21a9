import type { Millis } from "../foundation/time.ts";
import type { Variant } from "./discovery-reading.ts";

/** The read-only view of the ADS proxy. */
export interface XdsStatus {
  readonly listening: boolean;
  /** host:port of the control plane. */
  readonly upstream: string;
  /** "unknown" until the first try. */
  readonly reachable: "unknown" | "yes" | "no";
  /** Why it can't be reached; empty when it can. */
  readonly reason: string;
  /** Tries in a row that failed. */
  readonly failures: number;
  /** One for each Envoy stream that is there, oldest first. */
  readonly streams: readonly StreamStatus[];
  /** Envoys that got their first clusters or listeners, on whatever stream: it stays so when a stream ends. */
  readonly configured: readonly ConfiguredEnvoy[];
  /** Connections that were turned away because of their uid. */
  readonly turnedAway: number;
}

export interface ConfiguredEnvoy {
  /** Undefined where the pid of a peer can't be read: then it stands for all. */
  readonly pid: number | undefined;
  readonly clusters: boolean;
  readonly listeners: boolean;
}

export interface StreamStatus {
  readonly id: number;
  /** Process at the other end: which Envoy of a hot restart it is. Undefined where that can't be read. */
  readonly pid: number | undefined;
  readonly variant: Variant;
  readonly state: "connecting" | "open" | "closed";
  readonly since: Millis;
  /** Envoy has its first clusters, its first listeners: readiness waits for both. */
  readonly receivedClusters: boolean;
  readonly receivedListeners: boolean;
  /** What the stream waits for or what is wrong; empty when all is well. */
  readonly reason: string;
  readonly types: readonly TypeStatus[];
}

export interface TypeStatus {
  /** CDS, LDS, … */
  readonly type: string;
  readonly typeUrl: string;
  readonly requests: number;
  readonly responses: number;
  /** Names that Envoy asked for at last (some of them), "*" for all. */
  readonly names: readonly string[];
  /** Of the last response. */
  readonly version: string;
  readonly resources: number;
  readonly bytes: number;
  /** Version that Envoy took at last. */
  readonly acked: string | undefined;
  /** Envoy's words when it refused the last response. */
  readonly nack: string | undefined;
}
