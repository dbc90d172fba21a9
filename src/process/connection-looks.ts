import type { Log } from "../foundation/log.ts";
import type { Clock } from "../foundation/time.ts";
import type { ListenerRoles } from "./connection-counts.ts";
import type { EnvoyAdmin } from "./envoy-admin.ts";
import type { Connections } from "./lifecycle.ts";
import { type CallHistory, calledLately, noCalls, noteTotal } from "./recent-calls.ts";

export interface LooksDeps {
  readonly clock: Clock;
  readonly log: Log;
  readonly roles: ListenerRoles;
  /** False when this bootstrap keeps no counts per listener: then nobody knows, which is not zero. */
  readonly countsConnections: boolean;
}

/** How many connections are open, and whether the pod was called within the last minute. */
export class ConnectionLooks {
  readonly #deps: LooksDeps;
  #calls: CallHistory = noCalls;

  constructor(deps: LooksDeps) {
    this.#deps = deps;
  }

  /** A failed look is "unknown", never zero; undefined: this one has no admin to ask. */
  async look(admin: EnvoyAdmin | undefined): Promise<Connections> {
    const { clock, log, roles, countsConnections } = this.#deps;
    const at = clock.monotonic();
    if (!countsConnections || admin === undefined) return { active: undefined, calledLately: undefined };
    try {
      const counts = await admin.connections(roles);
      return { active: counts.active, calledLately: calledLately(this.#calls, at, counts) };
    } catch (error) {
      log.debug("cannot count connections", { error });
      return { active: undefined, calledLately: undefined };
    }
  }

  /** A look at the totals now and then, so that a stop knows whether somebody called within the minute. */
  async sample(admin: EnvoyAdmin): Promise<void> {
    const { clock, log, roles, countsConnections } = this.#deps;
    if (!countsConnections) return;
    const at = clock.monotonic();
    try {
      this.#calls = noteTotal(this.#calls, at, await admin.inboundTotal(roles));
    } catch (error) {
      log.debug("cannot sample connections", { error });
    }
  }
}
