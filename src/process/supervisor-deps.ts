import type { Log } from "../foundation/log.ts";
import type { Clock } from "../foundation/time.ts";
import type { DatagramSockets } from "../system/datagram-sockets.ts";
import type { HttpTarget } from "../system/http-client.ts";
import type { ListenerRoles } from "./connection-counts.ts";
import type { EnvoyAdmin } from "./envoy-admin.ts";
import type { EnvoySnapshot } from "./envoy-snapshot.ts";
import type { Lineages } from "./hot-restart/lineages.ts";
import type { Launch, Prepare } from "./launch.ts";
import type { ExitFacts } from "./lifecycle/states.ts";
import type { HistoryEntry, LifecycleLimits, Outcome } from "./lifecycle.ts";

/** What the driver of Envoy's life needs from the agent. */
export interface SupervisorDeps {
  readonly clock: Clock;
  readonly log: Log;
  /** What the first Envoy is started with. */
  readonly first: Launch;
  /** The preflight of every later one. */
  readonly prepare: Prepare;
  /** Where an admin is asked for when a bootstrap has none. */
  readonly noAdmin: HttpTarget;
  readonly lineages: Lineages;
  /** The native calls for sockets with descriptors; undefined where they can't be had. */
  readonly sockets: () => DatagramSockets | undefined;
  readonly limits: LifecycleLimits;
  readonly roles: ListenerRoles;
  /** False when this bootstrap keeps no counts per listener: then nobody knows, which is not zero. */
  readonly countsConnections: boolean;
  /** Sidecars keep the way out open while they drain; gateways have none. */
  readonly inboundOnly: boolean;
  /** Whether the kernel's counter proves that memory ended a process since the last question. */
  readonly outOfMemory: () => boolean;
  /** 0 ... 1. */
  readonly chance: () => number;
  /** Before a second Envoy shares our ports. */
  readonly onSwap: () => void;
  /** Called for every change of state, after its effects. */
  readonly onChange: (snapshot: EnvoySnapshot) => void;
  readonly onExit: (exit: ExitFacts, asked: boolean) => void;
  readonly onRecord: (entry: HistoryEntry, check: string | undefined) => void;
  readonly onGone: (outcome: Outcome) => void;
  /** A bug in a callback: the agent stops in order. */
  readonly onBug: (error: unknown) => void;
  /** For tests: who answers at that address. */
  readonly adminAt?: (target: HttpTarget) => EnvoyAdmin;
}
