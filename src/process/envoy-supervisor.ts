import type { Log } from "../foundation/log.ts";
import { Mailbox } from "../foundation/mailbox.ts";
import type { Clock, Millis } from "../foundation/time.ts";
import type { ExitReport, RunningProgram } from "../system/programs.ts";
import type { ListenerRoles } from "./connection-counts.ts";
import type { EnvoyAdmin, ServerInfo } from "./envoy-admin.ts";
import type { EnvoySnapshot } from "./envoy-snapshot.ts";
import type { RestartOutcome } from "./launch.ts";
import {
  begin,
  type Connections,
  type Effect,
  type LifecycleEvent,
  type LifecycleLimits,
  type LifecycleState,
  type Outcome,
  step,
} from "./lifecycle.ts";
import { type CallHistory, calledLately, noCalls, noteTotal, SAMPLE_EVERY } from "./recent-calls.ts";
import { snapshotOf } from "./snapshot-of.ts";

/** The one thing of the outside that starts Envoy; the agent gives it. Throws when Envoy cannot be started. */
export interface EnvoyStarter {
  start(epoch: number, onExit: (exit: ExitReport) => void): RunningProgram;
}

export interface SupervisorDeps {
  readonly clock: Clock;
  readonly log: Log;
  readonly starter: EnvoyStarter;
  readonly admin: EnvoyAdmin;
  readonly limits: LifecycleLimits;
  readonly roles: ListenerRoles;
  /** False when this bootstrap keeps no counts per listener: then nobody knows, which is not zero. */
  readonly countsConnections: boolean;
  /** Sidecars keep the way out open while they drain; gateways have none. */
  readonly inboundOnly: boolean;
  /** Called for every change of state, after its effects. */
  readonly onChange: (snapshot: EnvoySnapshot) => void;
  readonly onGone: (outcome: Outcome) => void;
  /** A bug in a callback: the agent stops in order. */
  readonly onBug: (error: unknown) => void;
}

/**
 * The driver: one mailbox, one state. Takes an event, asks the machine (lifecycle.ts), stores the next state, carries
 * out the effects. Whatever an effect learns comes back as an event.
 */
export class EnvoySupervisor {
  readonly #deps: SupervisorDeps;
  readonly #mailbox: Mailbox<LifecycleEvent>;
  readonly #processes = new Map<number, RunningProgram>();
  /** Armed timers by name; a timer of the same name replaces the one before. */
  readonly #timers = new Map<string, () => void>();
  #state: LifecycleState | undefined;
  #since: Millis = 0;
  #lastInfo: ServerInfo | undefined;
  #silence: string | undefined;
  #calls: CallHistory = noCalls;

  constructor(deps: SupervisorDeps) {
    this.#deps = deps;
    this.#mailbox = new Mailbox((event) => this.#handle(event));
  }

  /** Starts epoch 0. */
  start(): void {
    const { next, effects } = begin(this.#deps.clock.monotonic());
    this.#enter(next, effects);
  }

  post(event: LifecycleEvent): void {
    this.#mailbox.post(event);
  }

  restart(): Promise<RestartOutcome> {
    return Promise.resolve({ is: "refused", why: "this version has no hot restart yet; Envoy runs on unchanged" });
  }

  snapshot(): EnvoySnapshot {
    return snapshotOf(this.#state, {
      since: this.#since,
      pids: new Map([...this.#processes].map(([epoch, { pid }]) => [epoch, pid])),
      info: this.#lastInfo,
      silence: this.#silence,
    });
  }

  /** The running process of the current epoch, for signals that are passed on (log reopen). */
  current(): RunningProgram | undefined {
    return [...this.#processes.values()].at(-1);
  }

  #handle(event: LifecycleEvent): void {
    if (this.#state === undefined) return;
    if (event.on === "exited") this.#buryProcess(event.epoch);
    const { next, effects } = step(this.#state, event, this.#deps.clock.monotonic(), this.#deps.limits);
    this.#enter(next, effects);
  }

  #enter(next: LifecycleState, effects: readonly Effect[]): void {
    const changed = this.#state?.is !== next.is;
    this.#state = next;
    if (changed) this.#since = this.#deps.clock.monotonic();
    for (const effect of effects) this.#carryOut(effect);
    if (changed && next.is === "live") this.#sampleCalls();
    if (changed) this.#deps.onChange(this.snapshot());
  }

  #carryOut(effect: Effect): void {
    switch (effect.run) {
      case "start":
        return this.#startEnvoy(effect.epoch);
      case "await-live":
        return this.#background(this.#awaitLive(effect.epoch));
      case "drain-listeners":
        return this.#background(this.#drainListeners(effect.skipExit));
      case "count-connections":
        return this.#background(this.#countConnections(effect.epoch));
      case "signal":
        return this.#signal(effect.epoch, effect.signal);
      case "arm":
        return this.#arm(effect.timer, effect.after, () =>
          this.post({ on: "timer", epoch: effect.epoch, timer: effect.timer }),
        );
      case "tell":
        return this.#deps.log[effect.level](effect.text, effect.facts);
      case "finish":
        for (const cancel of this.#timers.values()) cancel();
        this.#timers.clear();
        return this.#deps.onGone(effect.outcome);
    }
  }

  #startEnvoy(epoch: number): void {
    try {
      const program = this.#deps.starter.start(epoch, (exit) => this.post({ on: "exited", epoch, exit }));
      this.#processes.set(epoch, program);
      this.#deps.log.info("Envoy started", { epoch, pid: program.pid });
    } catch (error) {
      this.post({ on: "not-started", epoch, error: error instanceof Error ? error : new Error(String(error)) });
    }
  }

  /** Whatever Envoy started and left behind in its group goes with it. */
  #buryProcess(epoch: number): void {
    this.#processes.get(epoch)?.endGroup();
    this.#processes.delete(epoch);
  }

  #signal(epoch: number, signal: "SIGTERM" | "SIGKILL"): void {
    const program = this.#processes.get(epoch);
    if (signal === "SIGKILL") program?.signalGroup(signal);
    else program?.signal(signal);
  }

  /** Looks often at first, since every millisecond here is one of the pod's start; then less often. */
  async #awaitLive(epoch: number): Promise<void> {
    for (let wait = 5; this.#state?.is === "starting"; wait = Math.min(wait * 1.2, 200)) {
      const info = await this.#askInfo();
      if (info?.state === "LIVE" && info.epoch === epoch) return this.post({ on: "live", epoch });
      if (this.#state.is !== "starting") return;
      await new Promise<void>((resolve) => this.#arm("await-live", wait, resolve));
    }
  }

  /** The admin's word, remembered for the snapshot's reason. */
  async #askInfo(): Promise<ServerInfo | undefined> {
    try {
      this.#lastInfo = await this.#deps.admin.serverInfo();
      this.#silence = undefined;
      return this.#lastInfo;
    } catch (error) {
      this.#silence = (error as Error).message;
      return undefined;
    }
  }

  async #drainListeners(skipExit: boolean): Promise<void> {
    try {
      await this.#deps.admin.drainListeners({ inboundOnly: this.#deps.inboundOnly, skipExit });
    } catch (error) {
      this.#deps.log.warn("Cannot tell Envoy to drain; its connections get their time all the same", { error });
    }
  }

  async #countConnections(epoch: number): Promise<void> {
    this.post({ on: "connections", epoch, seen: await this.#look() });
  }

  /** A failed look is "unknown", never zero. */
  async #look(): Promise<Connections> {
    const at = this.#deps.clock.monotonic();
    if (!this.#deps.countsConnections) return { active: undefined, calledLately: undefined };
    try {
      const counts = await this.#deps.admin.connections(this.#deps.roles);
      return { active: counts.active, calledLately: calledLately(this.#calls, at, counts) };
    } catch (error) {
      this.#deps.log.debug("cannot count connections", { error });
      return { active: undefined, calledLately: undefined };
    }
  }

  /** While live, a look at the totals every 20 s, so that a stop knows whether somebody called within the minute. */
  #sampleCalls(): void {
    if (!this.#deps.countsConnections) return;
    this.#arm("sample", SAMPLE_EVERY, () => this.#background(this.#sample()));
  }

  async #sample(): Promise<void> {
    const at = this.#deps.clock.monotonic();
    try {
      const { inboundTotal } = await this.#deps.admin.connections(this.#deps.roles);
      this.#calls = noteTotal(this.#calls, at, inboundTotal);
    } catch (error) {
      this.#deps.log.debug("cannot sample connections", { error });
    }
    if (this.#state?.is === "live") this.#sampleCalls();
  }

  #arm(name: string, after: Millis, fire: () => void): void {
    this.#timers.get(name)?.();
    const cancel = this.#deps.clock.after(after, () => {
      this.#timers.delete(name);
      try {
        fire();
      } catch (error) {
        this.#deps.onBug(error);
      }
    });
    this.#timers.set(name, cancel);
  }

  #background(work: Promise<void>): void {
    work.catch(this.#deps.onBug);
  }
}
