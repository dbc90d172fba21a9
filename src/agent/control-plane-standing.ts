import type { BootstrapFacts } from "../bootstrap/render-bootstrap.ts";
import type { EnvoySnapshot } from "../process/envoy-snapshot.ts";
import type { Contributor, Standing } from "../status/readiness.ts";
import type { ControlPlaneParts } from "./control-plane-stage.ts";

const yes: Standing = { ready: true };
const no = (reason: string): Standing => ({ ready: false, reason });

export interface ControlPlaneView {
  readonly facts: BootstrapFacts;
  readonly snapshot: () => EnvoySnapshot;
  readonly parts: () => ControlPlaneParts | undefined;
}

/** The control plane's say in readiness: each stage only where the bootstrap that Envoy really has uses it. */
export function controlPlaneContributors(view: ControlPlaneView): readonly Contributor[] {
  const got = { clusters: new Set<number>(), listeners: new Set<number>() };
  const configuration = (what: "clusters" | "listeners"): Contributor => ({
    name: what === "clusters" ? "cds" : "lds",
    check: () => configurationStanding(view, what, got[what]),
  });
  return [
    { name: "certificate", check: () => certificateStanding(view) },
    ...(view.facts.clusters === "ads" ? [configuration("clusters")] : []),
    ...(view.facts.listeners === "ads" ? [configuration("listeners")] : []),
  ];
}

/** Counts when the bootstrap names a secret, or when Envoy has come and asked for one. */
function certificateStanding({ facts, parts }: ControlPlaneView): Standing {
  const there = parts();
  if (there === undefined) return yes;
  const { state, reason } = there.identity.status();
  const secrets = there.sds.status();
  const refused = secrets.nacks[0];
  if (refused !== undefined) return no(`Envoy refuses the secret ${refused.names.join(", ")}: ${refused.text}`);
  const asked = secrets.streams > 0 || facts.secrets.includes("default");
  if (secrets.mode === "external") return { ready: true, note: "an external secret service is used" };
  if (!asked) return { ready: true, note: "Envoy has asked for none" };
  if (state === "valid") return reason === "" ? yes : { ready: true, note: reason };
  // The reason is a whole sentence: "waiting for certificate: token expired at …", "certificate expired at …".
  return no(reason);
}

/**
 * The first answer for this epoch; what was got is got: a control plane that goes away later is shown, and Envoy
 * serves on with what it has.
 */
function configurationStanding(view: ControlPlaneView, what: "clusters" | "listeners", got: Set<number>): Standing {
  const { pid, epoch, state } = view.snapshot();
  const status = view.parts()?.xds.status();
  if (state === "disabled" || status === undefined) return yes;
  const mine = status.streams.filter((one) => one.pid === undefined || one.pid === pid);
  const configured = status.configured.some((one) => (one.pid === undefined || one.pid === pid) && one[what]);
  if (configured) got.add(epoch);
  const open = mine.some((one) => one.state === "open");
  if (got.has(epoch)) return open ? yes : { ready: true, note: `served from what was got; ${awayText(status)}` };
  if (mine.length === 0 && status.reachable !== "no") return no("Envoy has not asked for its configuration yet");
  if (status.reachable === "no") return no(awayText(status));
  return no(`waiting for the first ${what} of the control plane ${status.upstream}`);
}

const awayText = (status: { readonly upstream: string; readonly reason: string }): string =>
  status.reason === "" ? `the control plane ${status.upstream} cannot be reached` : status.reason;
