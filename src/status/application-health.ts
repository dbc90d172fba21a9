import type { Log } from "../foundation/log.ts";
import { type Clock, pause } from "../foundation/time.ts";
import { type AskDeps, askHealth } from "./application-health-ask.ts";
import { type ApplicationHealth, atFirst, type HealthState, judge } from "./application-health-machine.ts";
import type { HealthAction, ReadinessProbe } from "./application-health-settings.ts";

export interface ApplicationHealthDeps extends AskDeps {
  readonly probe: ReadinessProbe;
  /** Undefined when Envoy serves, or why not: an application behind an Envoy that does not serve is not healthy. */
  readonly envoy: () => Promise<string | undefined>;
  /** Hears every change of the verdict, the first one included: AdsProxy.setApplicationHealth. */
  readonly tell: (health: ApplicationHealth) => void;
  readonly log: Log;
  /** A bug of ours. */
  readonly onBug: (error: unknown) => void;
  readonly clock: Clock;
  /** For tests: how the application is asked. */
  readonly ask?: (action: HealthAction) => Promise<string | undefined>;
}

export interface ApplicationHealthCheck {
  start(): void;
  /** Ends it at once, also within the initial delay or a question; resolves when nothing runs any more. */
  stop(): Promise<void>;
  /** For people: the verdict, and the reason of the last no. */
  state(): { readonly verdict: HealthState["is"]; readonly because: string | undefined };
}

/** Asks the application of a machine again and again, and tells the control plane when the answer changes (PROBE-6). */
export function createApplicationHealth(deps: ApplicationHealthDeps): ApplicationHealthCheck {
  const { probe, clock, log } = deps;
  const end = new AbortController();
  let state: HealthState = atFirst;
  let because: string | undefined;
  let running: Promise<void> = Promise.resolve();

  const ask = async (): Promise<string | undefined> => {
    const withoutEnvoy = await deps.envoy();
    if (withoutEnvoy !== undefined) return withoutEnvoy;
    return deps.ask === undefined ? askHealth(probe.action, probe.timeout, deps, end.signal) : deps.ask(probe.action);
  };

  const round = async (): Promise<void> => {
    because = await ask();
    if (end.signal.aborted) return;
    const { next, tell } = judge(state, { because }, probe);
    state = next;
    if (tell === undefined) return;
    if (tell.healthy) log.info("The application is healthy");
    else log.warn("The application is not healthy", { reason: tell.reason });
    deps.tell(tell);
  };

  const loop = async (): Promise<void> => {
    await pause(clock, probe.initialDelay, end.signal);
    while (!end.signal.aborted) {
      const began = clock.monotonic();
      await round();
      await pause(clock, Math.max(0, began + probe.period - clock.monotonic()), end.signal);
    }
  };

  return {
    start() {
      running = loop().catch(deps.onBug);
    },
    stop() {
      end.abort(new Error("the health check is stopped"));
      return running;
    },
    state: () => ({ verdict: state.is, because }),
  };
}
