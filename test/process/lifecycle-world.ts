import type { ExitFacts, Found, Over, TimerName } from "../../src/process/lifecycle/states.ts";
import {
  begin,
  type Effect,
  type EpochRecord,
  type LifecycleEvent,
  type LifecycleLimits,
  type LifecycleState,
  type Outcome,
  step,
} from "../../src/process/lifecycle.ts";
import { brokenLaws, lawOfSignal, lawOfStart } from "./lifecycle-laws.ts";

/*
 * A small world for the machine to live in: processes that live, get LIVE and die, timers that fire in their order,
 * questions that are answered well, badly, late or never. It carries effects out as envoy-supervisor.ts does (one timer a
 * name, events one after the other) and keeps the laws of lifecycle.ts before its eyes.
 */

export const limits: LifecycleLimits = {
  grace: 30_000,
  envoyDrain: 45_000,
  terminationDrain: 5_000,
  minDrain: 5_000,
  minimumDrain: 5_000,
  exitOnZeroConnections: false,
  killGrace: 5_000,
  parentShutdown: 15_000,
  liveWithin: 10_000,
  probation: 5_000,
  attempts: 3,
  retryAfter: 1_000,
};

/** A process that is alive, or whose end the machine has not heard of. */
export interface Proc {
  readonly record: EpochRecord;
  readonly over: Over;
  /** The process that handed over, if it was started over a living one. */
  readonly parent: number | undefined;
  live: boolean;
  watched: boolean;
  told: "" | "SIGTERM" | "SIGKILL";
  kills: number;
  /** Not even SIGKILL ends it. */
  stuck: boolean;
}

/** A number below `n`; small numbers are the harmless choices. */
export type Draw = (n: number) => number;
type Question = { readonly about: "check" | "mend" | "connections"; readonly run: number };

const segv = { how: "killed", signal: "SIGSEGV" } as const;
const exits: readonly ExitFacts["exit"][] = [
  segv,
  { how: "killed", signal: "SIGKILL" },
  { how: "exited", code: 1 },
  { how: "exited", code: 0 },
  { how: "exited", code: 127 },
];
const answers: readonly Found[] = [
  { is: "ready", by: "hot-restart", because: "" },
  { is: "ready", by: "swap", because: "versions" },
  { is: "unchanged" },
  { is: "refused", check: "memory", why: "too little" },
];

export class World {
  now = 0;
  state: LifecycleState;
  procs: Map<number, Proc> = new Map();
  timers: Map<TimerName, { readonly of: number; readonly at: number }> = new Map();
  questions: Question[] = [];
  kept = false;
  standIn: number | undefined;
  trial: number | undefined;
  /** Restarts that wait for an answer. */
  open: Set<number> = new Set();
  /** The highest epoch of each lineage that was ever LIVE. */
  committed: Map<number, number> = new Map();
  stopReason: string | undefined;
  /** A stop came when the end had a reason of its own already. */
  stopTooLate = false;
  outcome: Outcome | undefined;
  wishes = 0;
  /** What happened, for a message: "exited 1 -> starting". */
  story: string[] = [];
  #draw: Draw;
  #failed: EpochRecord[] = [];

  constructor(draw: Draw) {
    this.#draw = draw;
    const { next, effects } = begin(0, limits);
    this.state = next;
    this.#carryOut(effects, undefined);
    this.#hearFailures();
  }

  #hearFailures(): void {
    for (let lost = this.#failed.shift(); lost !== undefined; lost = this.#failed.shift())
      this.post({ on: "not-started", run: lost.run, error: new Error("cannot start") });
  }

  /** Everything goes well from here on; the dead may still hang in the kernel. */
  calm(how: "free" | "hanging"): void {
    this.#draw = () => 0;
    if (how === "free") for (const proc of this.procs.values()) proc.stuck = false;
  }

  post(event: LifecycleEvent): void {
    const before = this.state;
    const { next, effects } = step(before, event, this.now, limits);
    this.state = next;
    this.story.push(`${event.on} ${"run" in event ? event.run : ""} -> ${next.is}`);
    this.#carryOut(effects, before);
    this.#hearFailures();
    const broken = brokenLaws(this);
    if (broken !== undefined) this.fail(`${broken}, after ${event.on} in ${before.is}`);
  }

  fail(law: string): never {
    throw new Error(
      `${law}\n${this.story.join("\n")}\n${JSON.stringify({ state: this.state, procs: [...this.procs.values()] }, null, 1)}`,
    );
  }

  restart(strategy: "auto" | "swap" = "auto"): void {
    const id = ++this.wishes;
    this.open.add(id);
    const wish = { cause: `wish ${id}`, strategy, explicit: true, ignoreMemory: false, attempt: 0 } as const;
    this.post({ on: "restart", restart: { ...wish, ids: [id], since: this.now } });
  }

  stop(reason: string, drain: boolean): void {
    const { state } = this;
    if (this.stopReason === undefined && state.is !== "gone") {
      this.stopReason = reason;
      this.stopTooLate = (state.is === "draining" || state.is === "stopping") && state.stop?.because !== undefined;
    }
    this.post({ on: "stop", reason, drain });
  }

  goLive(proc: Proc): void {
    proc.live = true;
    const { lineage, epoch, run } = proc.record;
    this.committed.set(lineage, Math.max(epoch, this.committed.get(lineage) ?? -1));
    this.post({ on: "live", run });
  }

  die({ record: { run } }: Proc, exit: ExitFacts["exit"] = segv, outOfMemory = false): void {
    this.procs.delete(run);
    this.post({ on: "exited", run, exit, kept: this.kept ? 2 : 0, outOfMemory, jitter: 0.1 });
  }

  /** The next timer, at its time. */
  tick(): boolean {
    const [next] = [...this.timers].sort(([, a], [, b]) => a.at - b.at);
    if (next === undefined) return false;
    const [timer, { of, at }] = next;
    this.timers.delete(timer);
    this.now = Math.max(this.now, at);
    this.post({ on: "timer", run: of, timer });
    return true;
  }

  /** Answers the question that was asked first, or another one. */
  reply(which = 0): void {
    const [question] = this.questions.splice(which, 1);
    if (question === undefined) return;
    const { about, run } = question;
    const pick = this.#draw(8);
    if (about === "connections") {
      const active = pick < 5 ? 0 : pick < 7 ? 3 : undefined;
      return this.post({ on: "connections", run, seen: { active, calledLately: pick === 1 } });
    }
    if (about === "check") {
      const found = answers[pick < 4 ? 0 : pick - 4];
      if (found !== undefined) this.post({ on: "checked", run, found });
      return;
    }
    this.post({ on: "mended", run, ok: pick < 6, why: "another version", adminLost: pick % 2 === 1 });
  }

  /** One of the things that may happen now. */
  happen(): void {
    const possible = this.#possible();
    const all = possible.reduce((sum, [weight]) => sum + weight, 0);
    let at = this.#draw(all);
    for (const [weight, what] of possible) {
      if (at < weight) return what();
      at -= weight;
    }
  }

  #possible(): readonly (readonly [weight: number, what: () => void])[] {
    const { state } = this;
    const current = "current" in state ? state.current : undefined;
    const list: [number, () => void][] = [
      [5, () => void this.tick()],
      [2, () => this.restart(this.#draw(4) === 3 ? "swap" : "auto")],
      [1, () => this.#rarely()],
      ...this.questions.map((_, n): [number, () => void] => [6, () => this.reply(n)]),
    ];
    for (const proc of this.procs.values()) {
      if (!proc.live && proc.watched && proc.told !== "SIGKILL") list.push([6, () => this.goLive(proc)]);
      if (!proc.stuck)
        list.push([proc.told === "" ? 1 : 8, () => this.die(proc, this.#exit(proc), this.#draw(9) === 8)]);
    }
    const yields = state.is === "yielding" && state.old.lineage !== state.current.lineage;
    if (state.is === "live" || state.is === "overlap" || yields) list.push([3, () => this.#keep()]);
    const { standIn, trial } = this;
    if (standIn !== undefined) list.push([3, () => this.post({ on: "terminated", run: standIn })]);
    if (trial !== undefined) list.push([1, () => this.post({ on: "unfit", run: trial, why: "bad answers" })]);
    if (current !== undefined) list.push([1, () => this.post({ on: "silent", run: current.run })]);
    if (state.is === "overlap" && state.parent !== undefined) list.push([4, () => this.#endInTime(state.parent?.run)]);
    return list;
  }

  #keep(): void {
    this.kept = true;
  }

  #rarely(): void {
    const which = this.#draw(8);
    if (which < 3) return this.stop(`stop ${this.#draw(1_000)}`, which > 0);
    if (which === 3) return this.post({ on: "drain", reason: "POST /drain" });
    // Late words about a process of long ago.
    const run = this.#draw(4);
    if (which === 4) return this.post({ on: "checked", run, found: { is: "unchanged" } });
    if (which === 5) return this.post({ on: "mended", run, ok: true, why: "", adminLost: true });
    if (which === 6) return this.post({ on: "silent", run });
    this.post({ on: "terminated", run });
  }

  /** A parent ends when its child tells it. */
  #endInTime(run: number | undefined): void {
    const proc = run === undefined ? undefined : this.procs.get(run);
    if (proc === undefined || this.state.is !== "overlap") return;
    this.now = Math.max(this.now, this.state.until);
    this.die(proc, { how: "exited", code: 0 });
  }

  #exit({ told }: Proc): ExitFacts["exit"] {
    if (told === "SIGKILL") return { how: "killed", signal: "SIGKILL" };
    if (told === "SIGTERM") return { how: "exited", code: 0 };
    return exits[this.#draw(exits.length)] ?? segv;
  }

  #carryOut(effects: readonly Effect[], before: LifecycleState | undefined): void {
    for (const effect of effects) this.#do(effect, before);
  }

  #do(effect: Effect, before: LifecycleState | undefined): void {
    switch (effect.run) {
      case "start":
        return this.#start(effect);
      case "await-live": {
        const proc = this.procs.get(effect.of.run);
        if (proc !== undefined) proc.watched = true;
        return;
      }
      case "check":
        return void this.questions.push({ about: "check", run: effect.of.run });
      case "mend":
        return void this.questions.push({ about: "mend", run: effect.parent.run });
      case "count-connections":
        return void this.questions.push({ about: "connections", run: effect.of.run });
      case "stand-in":
        this.standIn = effect.child.run;
        return;
      case "end-stand-in":
        this.standIn = undefined;
        return;
      case "drop-sockets":
        this.kept = false;
        return;
      case "watch-trial":
        this.trial = effect.of.run;
        return;
      case "drain-listeners":
        if (this.kept) this.fail("listeners are drained while their sockets are kept");
        return;
      case "signal":
        return this.#signal(effect.of, effect.signal, before);
      case "arm":
        if (this.state.is !== "gone") this.timers.set(effect.timer, { of: effect.of, at: this.now + effect.after });
        return;
      case "answer":
        for (const id of effect.ids) if (!this.open.delete(id)) this.fail(`wish ${id} is answered twice`);
        return;
      case "finish":
        this.outcome = effect.outcome;
        this.timers.clear();
        this.open.clear();
        this.kept = false;
        return;
      case "record":
      case "serves":
      case "tell":
        return;
    }
  }

  #start({ of, over }: Extract<Effect, { run: "start" }>): void {
    const broken = lawOfStart(this, of, over);
    if (broken !== undefined) this.fail(broken);
    if (over === "kept-sockets") this.standIn = of.run;
    else this.standIn = undefined;
    // It makes the shared memory anew.
    if (over === "nobody") this.committed.delete(of.lineage);
    const chance = this.#draw(16);
    if (chance === 15) return void this.#failed.push(of);
    const parent = [...this.procs.values()].find((one) => over === "parent" && isParent(one.record, of));
    const stuck = chance === 14 && over !== "parent";
    this.procs.set(of.run, {
      record: of,
      over,
      parent: parent?.record.run,
      live: false,
      watched: false,
      told: "",
      kills: 0,
      stuck,
    });
  }

  #signal(run: number, signal: "SIGTERM" | "SIGKILL", before: LifecycleState | undefined): void {
    const proc = this.procs.get(run);
    if (proc === undefined) return;
    if (signal === "SIGKILL") proc.kills += 1;
    if (proc.told === "SIGKILL") return;
    const broken = lawOfSignal(this, proc, signal, before);
    if (broken !== undefined) this.fail(broken);
    proc.told = signal;
  }
}

const isParent = (one: EpochRecord, of: EpochRecord): boolean =>
  one.lineage === of.lineage && one.epoch + 1 === of.epoch;
