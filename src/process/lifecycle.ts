import type { Millis } from "../foundation/time.ts";
import { startNow } from "./lifecycle/crash.ts";
import { draining, gone, stopping } from "./lifecycle/ending.ts";
import { cleanLedger } from "./lifecycle/ledger.ts";
import { overlap } from "./lifecycle/overlapping.ts";
import { cancelling, initializing, mending } from "./lifecycle/replacing.ts";
import { checking, live } from "./lifecycle/serving.ts";
import { starting, waiting } from "./lifecycle/starting.ts";
import type { Cell, LifecycleEvent, LifecycleLimits, LifecycleState, Row, Step } from "./lifecycle/states.ts";
import { trial, yielding } from "./lifecycle/swapping.ts";

export type {
  Connections,
  Effect,
  EpochRecord,
  HistoryEntry,
  LifecycleEvent,
  LifecycleLimits,
  LifecycleState,
  Outcome,
  Restart,
  Step,
} from "./lifecycle/states.ts";

/*
 * The life of Envoy, as a pure machine: a state and an event give the next state and a list of effects; one driver
 * (envoy-supervisor.ts) carries them out. Nothing here waits, reads a clock or touches a process.
 *
 * One Envoy:
 *   starting      Envoy was exec'ed and is not LIVE; nobody else accepts connections (kept sockets queue them).
 *   live          It serves, and nothing else is going on.
 *   waiting       It crashed; the next start waits for the back-off.
 * A hot restart (hot-restart.md 10):
 *   checking      A restart is wanted; the preflight looks, and touches nothing.
 *   initializing  The child was exec'ed; its parent serves. The admin belongs to the child already.
 *   cancelling    The child did not do: it was sent SIGKILL, its parent serves.
 *   mending       It is dead: what the parent owes it is taken in its place, the shared flag is cleared.
 *   overlap       The child is LIVE and serves; the parent closed its listeners and ends what it has. No way back.
 * A swap, where a hot restart cannot be:
 *   trial         A second Envoy of another lineage on the same ports, on probation; the first serves too.
 *   yielding      The first one ends what it has. Also: one whose child died in the overlap ends what it has.
 * The end:
 *   draining      Listeners were told to drain. Either we were asked to stop (`stop` is there), or only to drain
 *                 (POST /drain, a native sidecar's preStop) and the stop comes later.
 *   stopping      SIGTERM was sent; SIGKILL follows after a grace, and again.
 *   gone          No Envoy is there and none will come. Final.
 *
 * `current` is in every state the Envoy that answers for us: the one that accepts connections, if any does.
 *
 * The ways to end, and what stands behind them in Kubernetes:
 *   1. SIGTERM or SIGINT (the kubelet, a person): drain, then stop. The first reason wins and is the one reported.
 *   2. A second SIGTERM/SIGINT: no more drain; a third: SIGKILL.
 *   3. POST /quitquitquit on our own port (Jobs): no drain.
 *   4. Envoy exits with 0: somebody asked it through its admin's /quitquitquit. Counts as asked.
 *   5. Envoy dies more often than its budget (crash-book.ts) allows, or refuses its first configuration: reported
 *      truthfully, exit code 1 (64, 69), so that the kubelet sees a crash loop.
 *   6. Envoy cannot be started at all.
 *
 * Laws (test/process/lifecycle-model.test.ts): never two children; never epoch N+2 over a dead child unless we stand in
 * for it; nothing is sent to a parent with a child attached but SIGKILL when it hangs; where something is waited for, a
 * timer is armed or an event will come; the first reason to stop wins.
 *
 * Timers carry the run and a name; one that fires late meets a cell that ignores it. Every process is known by its run,
 * a serial number; epochs are what Envoy is told.
 */

const transitions: { readonly [S in LifecycleState["is"]]: Row<S> } = {
  starting,
  live,
  checking,
  initializing,
  cancelling,
  mending,
  overlap,
  waiting,
  trial,
  yielding,
  draining,
  stopping,
  gone,
};

/** The first step of a life: exec epoch 0. */
export function begin(now: Millis, limits: LifecycleLimits): Step {
  const plan = { epoch: 0, lineage: 0, over: "nobody", using: "prepared", cause: "start" } as const;
  return startNow(plan, undefined, now, cleanLedger, limits);
}

/** One event. Same input, same output; never throws. */
export function step(state: LifecycleState, event: LifecycleEvent, now: Millis, limits: LifecycleLimits): Step {
  // The table's type guarantees that this cell takes this state and this event; TypeScript cannot follow the pairing.
  const cell = transitions[state.is][event.on] as Cell<LifecycleState["is"], LifecycleEvent["on"]>;
  return cell(state as never, event as never, now, limits);
}

/** Names of the cells by state and event, for docs/architecture.md. */
export const lifecycleTable: Readonly<Record<string, Readonly<Record<string, string>>>> = Object.fromEntries(
  Object.entries(transitions).map(([state, row]) => [
    state,
    Object.fromEntries(Object.entries(row).map(([event, cell]) => [event, cell.name])),
  ]),
);
