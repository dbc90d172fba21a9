import type { ExitFacts, Found, Restart, TimerName } from "../../src/process/lifecycle/states.ts";
import {
  begin,
  type Effect,
  type LifecycleEvent,
  type LifecycleState,
  type Outcome,
  step,
} from "../../src/process/lifecycle.ts";
import { limits } from "./lifecycle-world.ts";

/** The machine, told one event after the other. Effects are those of the last event, without what is only said. */
export class Story {
  at = 0;
  state: LifecycleState;
  effects: readonly Effect[] = [];
  #wishes = 0;

  constructor() {
    const { next, effects } = begin(0, limits);
    this.state = next;
    this.#keep(effects);
  }

  #keep(effects: readonly Effect[]): void {
    this.effects = effects.filter((one) => one.run !== "tell" && one.run !== "record");
  }

  tell(event: LifecycleEvent, later = 10): this {
    this.at += later;
    const { next, effects } = step(this.state, event, this.at, limits);
    this.state = next;
    this.#keep(effects);
    return this;
  }

  live(run: number): this {
    return this.tell({ on: "live", run });
  }

  wish(more: Partial<Restart> = {}): this {
    const ids = [++this.#wishes];
    const wish = { ids, cause: "SIGHUP", strategy: "auto", explicit: true, ignoreMemory: false, attempt: 0 } as const;
    return this.tell({ on: "restart", restart: { ...wish, since: this.at, ...more } });
  }

  checked(run: number, found: Found | "hot-restart" | "swap"): this {
    return this.tell({
      on: "checked",
      run,
      found: typeof found === "string" ? { is: "ready", by: found, because: "asked" } : found,
    });
  }

  exited(run: number, how: number | NodeJS.Signals = "SIGSEGV", kept = 0, later = 10): this {
    const exit: ExitFacts["exit"] =
      typeof how === "number" ? { how: "exited", code: how } : { how: "killed", signal: how };
    return this.tell({ on: "exited", run, exit, kept, outOfMemory: false, jitter: 0 }, later);
  }

  timer(run: number, timer: TimerName, later = 10): this {
    return this.tell({ on: "timer", run, timer }, later);
  }

  mended(run: number, ok = true, adminLost = true): this {
    return this.tell({ on: "mended", run, ok, why: ok ? "" : "another version", adminLost });
  }

  stop(drain = true, reason = "SIGTERM"): this {
    return this.tell({ on: "stop", reason, drain });
  }

  /** Kinds of the last effects, with whom they are about: "start 2", "signal 1 SIGKILL". */
  get did(): readonly string[] {
    return this.effects.map((one) => {
      const of = "of" in one ? ` ${typeof one.of === "number" ? one.of : one.of.run}` : "";
      const more = one.run === "signal" ? ` ${one.signal}` : one.run === "arm" ? ` ${one.timer}` : "";
      const over = one.run === "start" ? ` over ${one.over}, ${one.using}` : "";
      const answer = one.run === "answer" ? ` ${one.ids.join("+")} ${one.outcome.is}` : "";
      return `${one.run}${of}${more}${over}${answer}`;
    });
  }

  get outcome(): Outcome | undefined {
    return this.state.is === "gone" ? this.state.outcome : undefined;
  }
}

/** Epoch 0 serves (run 1). */
export const serving = (): Story => new Story().live(1);

/** A hot restart is under way: run 1 serves, run 2 initializes. */
export const initializing = (): Story => serving().wish().checked(1, "hot-restart");

/** Run 2 has taken over, run 1 drains. */
export const overlapping = (): Story => initializing().live(2);

/** A swap: run 1 serves, run 2 was started beside it. */
export const swapping = (): Story => serving().wish({ strategy: "swap" }).checked(1, "swap");
