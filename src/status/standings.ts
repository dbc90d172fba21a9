import type { Millis } from "../foundation/time.ts";
import type { Contributor, Standing } from "./readiness.ts";
import { duration } from "./status-document.ts";

/**
 * Something that must have come once: the first clusters, a certificate, a name table. `reason` says what it waits
 * for; `note` what there is.
 */
export const mustHave = (
  name: string,
  there: () => boolean,
  reason: () => string,
  note?: () => string,
): Contributor => ({
  name,
  check: () => {
    if (!there()) return { ready: false, reason: reason() };
    return note === undefined ? { ready: true } : { ready: true, note: note() };
  },
});

export type Connection =
  /** `lastError`: why the last attempt failed, if there was one. */
  | { readonly is: "never"; readonly lastError?: string }
  | { readonly is: "connected"; readonly since: Millis }
  | { readonly is: "lost"; readonly since: Millis; readonly lastError?: string };

/**
 * A connection to the control plane. Lost, it is missed only after `tolerate` ms; undefined is never: Envoy goes on with
 * what it has. Before the first connection others say what is missing; this one only tells. Always shown.
 */
export function connectionStanding(connection: Connection, now: Millis, tolerate: Millis | undefined): Standing {
  const why = "lastError" in connection && connection.lastError !== undefined ? `: ${connection.lastError}` : "";
  if (connection.is === "never") return { ready: true, note: `not connected yet${why}` };
  const ms = now - connection.since;
  if (connection.is === "connected") return { ready: true, note: `connected for ${duration(ms)}` };
  const text = `lost ${duration(ms)} ago${why}`;
  if (tolerate === undefined) return { ready: true, note: `${text}; what Envoy has stays in force` };
  if (ms <= tolerate) return { ready: true, note: `${text}; tolerated for ${duration(tolerate - ms)} more` };
  return { ready: false, reason: `${text}, longer than the ${duration(tolerate)} that are tolerated` };
}
