import type { EnvoySettings } from "../config/agent-config.ts";
import type { Millis } from "../foundation/time.ts";

/** An Envoy's flush of statistics: what the old one counts after the new one's last look at it would be lost. */
const AFTER_DRAIN: Millis = 5_000;

export interface KeptParentShutdown {
  readonly time: Millis;
  /** A sentence for the log when the configured time was too short. */
  readonly notice: string | undefined;
}

/** How long the old Envoy lives beside the new one: as configured, but long enough for its drain and one flush. */
export function keptParentShutdown({
  drainTime,
  parentShutdownTime,
}: Pick<EnvoySettings, "drainTime" | "parentShutdownTime">): KeptParentShutdown {
  const least = drainTime + AFTER_DRAIN;
  if (parentShutdownTime >= least) return { time: parentShutdownTime, notice: undefined };
  const [given, raised, drain] = [parentShutdownTime, least, drainTime].map((time) => `${time / 1_000}s`);
  const notice =
    `parentShutdownDuration ${given ?? ""} becomes ${raised ?? ""}: ` +
    `the old Envoy has to outlive drainDuration ${drain ?? ""} by 5s`;
  return { time: least, notice };
}
