import type { Clock } from "../foundation/time.ts";
import type { EnvoyAdmin } from "../process/envoy-admin.ts";
import type { EnvoySnapshot } from "../process/envoy-snapshot.ts";
import type { Contributor, Standing } from "../status/readiness.ts";
import { httpRequest } from "../system/http-client.ts";

export interface ContributorDeps {
  readonly clock: Clock;
  readonly snapshot: () => EnvoySnapshot;
  readonly admin: EnvoyAdmin;
  /** Envoy's readiness listener, when the bootstrap has one: a worker's answer there proves that workers serve. */
  readonly readinessListener: { readonly host: string; readonly port: number } | undefined;
  /** The control plane's say, asked before Envoy's: what Envoy waits for tells more than that it waits. */
  readonly controlPlane: readonly Contributor[];
}

const yes: Standing = { ready: true };
const no = (reason: string): Standing => ({ ready: false, reason });

/** Who has a say in readiness, the most telling first. */
export function readinessContributors(deps: ContributorDeps): readonly Contributor[] {
  return [
    { name: "drain", check: () => drainStanding(deps) },
    ...deps.controlPlane,
    { name: "envoy", check: () => envoyStanding(deps) },
    { name: "epoch", check: epochCheck(deps) },
    { name: "workers", check: workersCheck(deps) },
  ];
}

/** A drain is the reason, whatever else is missing meanwhile. */
function drainStanding({ snapshot }: ContributorDeps): Standing {
  const { state, reason } = snapshot();
  return state === "draining" || state === "stopping" || state === "stopped" ? no(reason) : yes;
}

function envoyStanding({ snapshot }: ContributorDeps): Standing {
  const { state, reason } = snapshot();
  if (state === "live") return yes;
  if (state === "disabled") return { ready: true, note: reason };
  return no(reason);
}

/**
 * The admin's own word, asked afresh each time: LIVE, and by the epoch that we mean. Which epoch it is does not change
 * in the life of a process, so that is asked once: probes and scrapes come all the time, and the long answer costs Envoy
 * and us two milliseconds each.
 */
function epochCheck({ snapshot, admin }: ContributorDeps): () => Promise<Standing> {
  let proven = "";
  return async () => {
    const { state, epoch, pid, adminAnswers } = snapshot();
    if (state === "disabled") return yes;
    if (state !== "live") return no(`epoch ${epoch} is not live`);
    // Its child has the admin, or had it: that it lives and was live is all that can be known.
    if (adminAnswers === false) return { ready: true, note: `epoch ${epoch} serves without its admin` };
    /** It may have passed to another Envoy while we asked. */
    const passedOn = (): boolean => snapshot().adminAnswers === false || snapshot().pid !== pid;
    try {
      const asked = `epoch ${epoch} of process ${pid}`;
      const info = proven === asked ? { epoch, state: await admin.state() } : await admin.serverInfo();
      if (passedOn()) return yes;
      if (info.epoch !== epoch) return no(`Envoy's admin answers for epoch ${info.epoch}, expected ${epoch}`);
      proven = asked;
      return info.state === "LIVE" ? yes : no(`Envoy says ${info.state}`);
    } catch (error) {
      return snapshot().state === "live" && passedOn() ? yes : no((error as Error).message);
    }
  };
}

/**
 * Workers start a moment after Envoy says LIVE. Any HTTP answer of our own listener is a worker's; a path that has no
 * route is asked, so that the question does not come back to us. Once per epoch: workers do not stop one by one.
 */
function workersCheck(deps: ContributorDeps): () => Promise<Standing> {
  let proven: number | undefined;
  return async () => {
    const { state, epoch } = deps.snapshot();
    if (state === "disabled" || deps.readinessListener === undefined || proven === epoch) return yes;
    if (state !== "live") return no("Envoy's workers have not started");
    try {
      await httpRequest({ to: deps.readinessListener, path: "/worker", timeout: 1_000 });
      proven = epoch;
      return yes;
    } catch (error) {
      return no(`no worker answers on port ${deps.readinessListener.port}: ${(error as Error).message}`);
    }
  };
}
