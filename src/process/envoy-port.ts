import type { HttpTarget } from "../system/http-client.ts";
import type { RunningProgram } from "../system/programs.ts";
import type { EnvoySnapshot } from "./envoy-snapshot.ts";
import type { RestartAsk, RestartOutcome } from "./launch.ts";
import type { LifecycleEvent, Outcome } from "./lifecycle.ts";

/** What the agent sees of Envoy's life; without Envoy (DISABLE_ENVOY) there is one that only waits for the stop. */
export interface EnvoyPort {
  start(): void;
  post(event: LifecycleEvent): void;
  /** Asks for a new Envoy; resolves when it is settled what became of it. Never rejects. */
  restart(ask: RestartAsk): Promise<RestartOutcome>;
  snapshot(): EnvoySnapshot;
  current(): RunningProgram | undefined;
  /** Where the admin of the Envoy that serves answers. */
  adminTarget(): HttpTarget;
  /** Somebody is about to read Envoy's statistics; awaited before it. */
  beforeScrape(): Promise<void>;
  /** Envoy was given other listeners. */
  listenersChanged(): void;
}

/** Where nobody answers. */
const NOWHERE: HttpTarget = { host: "127.0.0.1", port: 0 };

/** DISABLE_ENVOY: everything runs but Envoy; a stop is over at once. */
export class NoEnvoy implements EnvoyPort {
  readonly #onGone: (outcome: Outcome) => void;
  #gone = false;

  constructor(onGone: (outcome: Outcome) => void) {
    this.#onGone = onGone;
  }

  start(): void {}

  post(event: LifecycleEvent): void {
    if (event.on !== "stop" || this.#gone) return;
    this.#gone = true;
    this.#onGone({ how: "stopped", reason: event.reason, forced: false, exit: undefined });
  }

  restart(): Promise<RestartOutcome> {
    return Promise.resolve({ is: "refused", why: "Envoy is turned off (DISABLE_ENVOY)" });
  }

  snapshot(): EnvoySnapshot {
    const state = this.#gone ? "stopped" : "disabled";
    return { state, epoch: 0, pid: undefined, since: 0, reason: "Envoy is turned off (DISABLE_ENVOY)", processes: [] };
  }

  current(): undefined {
    return undefined;
  }

  adminTarget(): HttpTarget {
    return NOWHERE;
  }

  beforeScrape(): Promise<void> {
    return Promise.resolve();
  }

  listenersChanged(): void {}
}
