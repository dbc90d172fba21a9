import type { BootstrapFacts } from "../bootstrap/render-bootstrap.ts";
import { durationText } from "../config/units.ts";
import type { Clock, Millis } from "../foundation/time.ts";
import type { EnvoySnapshot } from "../process/envoy-snapshot.ts";
import type { Contributor, Standing } from "../status/readiness.ts";
import type { StreamStatus, XdsStatus } from "../xds/xds-status.ts";
import type { ControlPlaneParts } from "./agent-parts.ts";

type ConfigKind = "clusters" | "listeners";

const yes: Standing = { ready: true };
const no = (reason: string): Standing => ({ ready: false, reason });

export interface ControlPlaneView {
  readonly facts: BootstrapFacts;
  readonly snapshot: () => EnvoySnapshot;
  readonly parts: () => Pick<ControlPlaneParts, "identity" | "sds" | "xds"> | undefined;
  readonly clock: Clock;
  /** How long the control plane may be away once the configuration is there; undefined: for ever. */
  readonly tolerance: Millis | undefined;
}

/** The control plane's say in readiness: each stage only where the bootstrap that Envoy really has uses it. */
export function controlPlaneContributors(view: ControlPlaneView): readonly Contributor[] {
  const kinds = (["clusters", "listeners"] as const).filter((what) => view.facts[what] === "ads");
  const got = { clusters: new Set<number>(), listeners: new Set<number>() };
  const names = { clusters: "cds", listeners: "lds" } as const;
  return [
    { name: "certificate", check: () => certificateStanding(view) },
    ...kinds.map((what) => ({ name: names[what], check: () => configurationStanding(view, what, got[what]) })),
    ...(kinds.length === 0 ? [] : [{ name: "control-plane", check: lossCheck(view, kinds) }]),
  ];
}

/** Secrets that come from the CA; names of files and of others don't wait for it. */
const fromAuthority = (name: string): boolean => name === "default" || name === "ROOTCA";

/** Counts when the bootstrap names a secret of the CA, or when Envoy has come and asked for one. */
function certificateStanding({ facts, parts }: ControlPlaneView): Standing {
  const there = parts();
  if (there === undefined) return yes;
  const { state, reason } = there.identity.status();
  const secrets = there.sds.status();
  const refused = secrets.nacks[0];
  if (refused !== undefined) return no(`Envoy refuses the secret ${refused.names.join(", ")}: ${refused.text}`);
  const asked = secrets.asked.some(fromAuthority) || facts.secrets.some(fromAuthority);
  if (secrets.mode === "external") return { ready: true, note: "an external secret service is used" };
  if (!asked) return { ready: true, note: "Envoy has asked for none" };
  if (state === "valid") return reason === "" ? yes : { ready: true, note: reason };
  // The reason is a whole sentence: "waiting for certificate: token expired at …", "certificate expired at …".
  return no(reason);
}

/** The first answer for this epoch; what was got is got, whatever becomes of the control plane. */
function configurationStanding(view: ControlPlaneView, what: ConfigKind, got: Set<number>): Standing {
  const { epoch, state } = view.snapshot();
  const status = view.parts()?.xds.status();
  if (state === "disabled" || status === undefined) return yes;
  if (configured(view, status, what)) got.add(epoch);
  if (got.has(epoch)) return yes;
  if (status.reachable === "no") return no(awayText(status));
  if (streamsOf(view, status).length === 0) return no("Envoy has not asked for its configuration yet");
  return no(`waiting for the first ${what} of the control plane ${status.upstream}`);
}

/**
 * A control plane that goes away after the configuration came: Envoy serves on with what it has. That is shown, and is
 * a reason only when it lasts longer than somebody wants to bear.
 */
function lossCheck(view: ControlPlaneView, kinds: readonly ConfigKind[]): () => Standing {
  let lostAt: Millis | undefined;
  let served = false;
  return () => {
    const status = view.parts()?.xds.status();
    if (view.snapshot().state === "disabled" || status === undefined) return yes;
    served ||= kinds.every((what) => configured(view, status, what));
    const open = streamsOf(view, status).some((one) => one.state === "open");
    // What Envoy waits for before its first configuration is for cds and lds to say.
    if (open || !served) {
      lostAt = undefined;
      return yes;
    }
    const now = view.clock.monotonic();
    lostAt ??= now;
    return lossStanding(now - lostAt, view.tolerance, awayText(status));
  };
}

function lossStanding(away: Millis, tolerance: Millis | undefined, why: string): Standing {
  const since = `away for ${inSeconds(away)}: ${why}`;
  if (tolerance === undefined) return { ready: true, note: `${since}; served from what was got` };
  if (away <= tolerance)
    return { ready: true, note: `${since}; served from what was got, tolerated for ${inSeconds(tolerance)}` };
  return no(`${since}; tolerated for ${inSeconds(tolerance)} only`);
}

const inSeconds = (span: Millis): string => durationText(Math.round(span / 1_000) * 1_000);

/** The streams of the Envoy that is meant: another one's may be there during a hot restart. */
const streamsOf = ({ snapshot }: ControlPlaneView, { streams }: XdsStatus): readonly StreamStatus[] => {
  const { pid } = snapshot();
  return streams.filter((one) => one.pid === undefined || one.pid === pid);
};

const configured = ({ snapshot }: ControlPlaneView, status: XdsStatus, what: ConfigKind): boolean => {
  const { pid } = snapshot();
  return status.configured.some((one) => (one.pid === undefined || one.pid === pid) && one[what]);
};

const awayText = (status: { readonly upstream: string; readonly reason: string }): string =>
  status.reason === "" ? `the control plane ${status.upstream} cannot be reached` : status.reason;
