import { describeError } from "../foundation/errors.ts";
import { Mailbox } from "../foundation/mailbox.ts";
import type { Millis } from "../foundation/time.ts";
import type { HttpTarget } from "../system/http-client.ts";
import type { RunningProgram } from "../system/programs.ts";
import { type AdminWord, ask as askAdmin, untilLive } from "./admin-watch.ts";
import { ChildFlags } from "./child-flags.ts";
import { ConnectionLooks } from "./connection-looks.ts";
import { EnvoyProcesses } from "./envoy-processes.ts";
import type { EnvoySnapshot } from "./envoy-snapshot.ts";
import { Handover } from "./hot-restart/handover.ts";
import type { Prepared, RestartAsk, RestartOutcome } from "./launch.ts";
import type { ExitFacts, Restart } from "./lifecycle/states.ts";
import {
  begin,
  type Effect,
  type EpochRecord,
  type HistoryEntry,
  type LifecycleEvent,
  type LifecycleState,
  type Outcome,
  step,
} from "./lifecycle.ts";
import { SAMPLE_EVERY } from "./recent-calls.ts";
import { ServingWatch } from "./serving-watch.ts";
import { servingRecord, snapshotOf } from "./snapshot-of.ts";
import type { SupervisorDeps } from "./supervisor-deps.ts";
import { watchTrial } from "./trial-watch.ts";

/** So many entries of the history are kept for the status page. */
const HISTORY = 50;

/**
 * The driver: one mailbox, one state. Takes an event, asks the machine (lifecycle.ts), stores the next state, carries
 * out the effects. Whatever an effect learns comes back as an event.
 */
export class EnvoySupervisor {
  readonly #deps: SupervisorDeps;
  readonly #mailbox: Mailbox<LifecycleEvent>;
  readonly #handover: Handover;
  readonly #processes: EnvoyProcesses;
  readonly #looks: ConnectionLooks;
  readonly #watch: ServingWatch;
  /** Armed timers by name; a timer of the same name replaces the one before. */
  readonly #timers = new Map<string, () => void>();
  readonly #waiters = new Map<number, (outcome: RestartOutcome) => void>();
  readonly #words = new Map<number, AdminWord>();
  readonly #flags = new ChildFlags();
  #history: readonly HistoryEntry[] = [];
  #state: LifecycleState | undefined;
  #since: Millis = 0;
  #lastScrape: Millis | undefined;
  #lastSample: Millis = Number.NEGATIVE_INFINITY;
  #asked = 0;
  #refusedBy: string | undefined;

  constructor(deps: SupervisorDeps) {
    this.#deps = deps;
    this.#mailbox = new Mailbox((event) => this.#handle(event));
    const { clock, log, lineages, sockets } = deps;
    this.#handover = new Handover({ clock, log, lineages, sockets });
    this.#processes = new EnvoyProcesses({ ...deps, handover: this.#handover });
    this.#looks = new ConnectionLooks(deps);
    this.#watch = new ServingWatch({
      clock,
      log,
      arm: (name, after, fire) => this.#arm(name, after, fire),
      state: () => this.#state,
      process: (run) => this.#processes.get(run),
      handover: this.#handover,
      onWord: (run, word) => this.#words.set(run, word),
      onConcurrency: (workers) => {
        this.#processes.concurrency ??= workers;
      },
      onKept: () => this.#deps.onChange(this.snapshot()),
      onSilent: (run) => this.post({ on: "silent", run }),
      background: (work) => this.#background(work),
    });
  }

  /** Starts epoch 0. */
  start(): void {
    const { lineages } = this.#deps;
    lineages.open();
    const { off } = lineages;
    if (off !== undefined) this.#deps.log.warn("Hot restart is off; a restart will be a swap", { why: off });
    const { next, effects } = begin(this.#deps.clock.monotonic(), this.#deps.limits);
    this.#enter(next, effects);
  }

  post(event: LifecycleEvent): void {
    this.#mailbox.post(event);
  }

  restart(ask: RestartAsk): Promise<RestartOutcome> {
    const id = ++this.#asked;
    const since = this.#deps.clock.monotonic();
    return new Promise((resolve) => {
      this.#waiters.set(id, resolve);
      this.post({ on: "restart", restart: { ...ask, ids: [id], since, attempt: 0 } });
    });
  }

  snapshot(): EnvoySnapshot {
    const current = servingRecord(this.#state);
    return snapshotOf(this.#state, {
      since: this.#since,
      pids: this.#processes.pids(),
      word: current && this.#words.get(current.run),
      history: this.#history,
      keptSockets: this.#handover.keptCount,
      hotRestartOff: this.#deps.lineages.denied,
    });
  }

  /** The running process that serves, for signals that are passed on (log reopen). */
  current(): RunningProgram | undefined {
    const record = servingRecord(this.#state);
    return record && this.#processes.get(record.run)?.program;
  }

  /** Where the admin of the serving Envoy answers. */
  adminTarget(): HttpTarget {
    const record = servingRecord(this.#state);
    const found = record && this.#processes.get(record.run)?.target;
    return found ?? this.#deps.first.admin ?? this.#deps.noAdmin;
  }

  /** Envoy's listeners may have changed: the kept sockets are looked at again soon. */
  listenersChanged(): void {
    this.#watch.listenersChanged();
  }

  /**
   * Somebody is about to read Envoy's statistics. Our own reading has to come before it, never after: what is read
   * between a scrape and a hot restart is lost to the scraper (hot-restart.md 9, 12).
   */
  async beforeScrape(): Promise<void> {
    this.#lastScrape = this.#deps.clock.monotonic();
    await this.#sample();
  }

  #handle(event: LifecycleEvent): void {
    if (this.#state === undefined) return;
    if (event.on === "exited") this.#bury(event.run);
    const { next, effects } = step(this.#state, event, this.#deps.clock.monotonic(), this.#deps.limits);
    this.#enter(next, effects);
  }

  #enter(next: LifecycleState, effects: readonly Effect[]): void {
    const changed = this.#state?.is !== next.is;
    this.#state = next;
    if (changed) this.#since = this.#deps.clock.monotonic();
    for (const effect of effects) this.#carryOut(effect);
    if (changed && next.is === "live") this.#arm("sample", SAMPLE_EVERY, () => this.#background(this.#sampleAgain()));
    if (changed) this.#watch.entered();
    if (changed) this.#deps.onChange(this.snapshot());
  }

  #carryOut(effect: Effect): void {
    switch (effect.run) {
      case "start":
        return this.#startEnvoy(effect);
      case "await-live":
        return this.#background(this.#awaitLive(effect.of));
      case "check":
        return this.#background(this.#check(effect.of, effect.restart));
      case "mend":
        return this.#background(this.#mend(effect.dead, effect.parent));
      case "stand-in":
        return this.#standIn(effect.dead, effect.child);
      case "end-stand-in":
        return this.#handover.endStandIn();
      case "serves":
        return this.#serves(effect.of);
      case "drop-sockets":
        return this.#handover.drop();
      case "watch-trial":
        return this.#background(this.#watchTrial(effect.of));
      case "drain-listeners":
        return this.#background(this.#drainListeners(effect));
      case "count-connections":
        return this.#background(this.#countConnections(effect.of));
      case "signal":
        return this.#signal(effect.of, effect.signal);
      case "arm":
        return this.#arm(effect.timer, effect.after, () =>
          this.post({ on: "timer", run: effect.of, timer: effect.timer }),
        );
      case "answer":
        return this.#answer(effect.ids, effect.outcome);
      case "record":
        return this.#record(effect.entry);
      case "tell":
        return this.#deps.log[effect.level](effect.text, effect.facts);
      case "finish":
        return this.#finish(effect.outcome);
    }
  }

  #startEnvoy(effect: Extract<Effect, { run: "start" }>): void {
    const { of } = effect;
    try {
      if (of.lineage > 0) this.#deps.onSwap();
      const { program } = this.#processes.start(effect, {
        onExit: (exit) => this.#exited(of, exit),
        onTerminated: () => this.post({ on: "terminated", run: of.run }),
      });
      this.#deps.log.info("Envoy started", { epoch: of.epoch, pid: program.pid, cause: of.cause });
    } catch (error) {
      this.post({ on: "not-started", run: of.run, error: error instanceof Error ? error : new Error(String(error)) });
    }
  }

  #exited(of: EpochRecord, exit: ExitFacts["exit"]): void {
    const { outOfMemory, chance, onExit } = this.#deps;
    // Between two looks it may have taken over: then its parent has no listeners any more.
    if (this.#flags.tookOver(of.run, this.#deps.lineages.of(of.lineage))) this.post({ on: "live", run: of.run });
    this.#handover.died(of);
    const kept = this.#handover.keptOf(of);
    const facts = { exit, kept, outOfMemory: outOfMemory(), jitter: chance() * 0.4 - 0.2 };
    onExit(facts, this.#state?.is === "stopping");
    this.post({ on: "exited", run: of.run, ...facts });
  }

  #bury(run: number): void {
    const lineage = this.#processes.get(run)?.record.lineage;
    this.#processes.bury(run);
    this.#words.delete(run);
    // What serves, or is started soon, has the lineage of those before; of another one this was the last, or one of several.
    const next = this.#state?.is === "waiting" ? this.#state.plan : servingRecord(this.#state);
    const needed = [next, ...this.#processes.all().map(({ record }) => record)];
    if (lineage !== undefined && needed.every((one) => one?.lineage !== lineage)) this.#deps.lineages.retire(lineage);
  }

  #serves(of: EpochRecord): void {
    this.#processes.serves(of.run);
    this.#watch.serves(of);
  }

  #signal(run: number, signal: "SIGTERM" | "SIGKILL"): void {
    const program = this.#processes.get(run)?.program;
    if (signal === "SIGKILL") program?.signalGroup(signal);
    else program?.signal(signal);
  }

  async #awaitLive(of: EpochRecord): Promise<void> {
    const found = this.#processes.get(of.run);
    if (found === undefined) return;
    const lineage = found.hotRestart && of.epoch > 0 ? this.#deps.lineages.of(of.lineage) : undefined;
    const live = await untilLive({
      clock: this.#deps.clock,
      admin: found.admin,
      epoch: of.epoch,
      wanted: () => this.#processes.get(of.run) === found && this.#state?.is !== "stopping",
      flag: lineage && (() => this.#flags.look(of.run, lineage)),
      wait: (delay, then) => this.#arm(`live ${of.run}`, delay, then),
      onWord: (word) =>
        this.#words.set(of.run, { info: word.info ?? this.#words.get(of.run)?.info, silence: word.silence }),
    });
    if (live) this.post({ on: "live", run: of.run });
  }

  /** A preflight, after every question of ours to Envoy is answered: it is asked under the name of its next child. */
  async #check(of: EpochRecord, restart: Restart): Promise<void> {
    const busy = await this.#handover.quiet();
    const found = await this.#prepare(of, restart);
    if (found.is === "ready") this.#processes.prepare(found.launch);
    this.#refusedBy = found.is === "refused" ? found.check : undefined;
    const swapped = found.is === "ready" && busy !== undefined ? { by: "swap" as const, because: busy } : {};
    this.post({ on: "checked", run: of.run, found: { ...found, ...swapped } });
  }

  async #prepare(of: EpochRecord, restart: Restart): Promise<Prepared> {
    const serving = this.#processes.serving(of.run);
    if (serving === undefined) return { is: "refused", check: "binary", why: "Envoy has died meanwhile" };
    return this.#deps.prepare(restart, serving);
  }

  async #mend(dead: EpochRecord, parent: EpochRecord): Promise<void> {
    const why = await this.#handover.mend(dead);
    const admin = this.#processes.get(parent.run)?.admin;
    let silence: string | undefined;
    const info =
      admin &&
      (await askAdmin(admin, (word) => {
        silence = word.silence;
      }));
    // An admin that went to the child refuses; one that takes the connection and says nothing is of a hung Envoy, for
    // which the child has waited in vain.
    const hung = silence?.includes("no answer within") === true;
    const adminLost = !hung && info?.epoch !== parent.epoch;
    this.post({ on: "mended", run: parent.run, ok: why === undefined, why: why ?? "", adminLost });
    if (hung) this.post({ on: "silent", run: parent.run });
  }

  #standIn(dead: EpochRecord, child: EpochRecord): void {
    if (this.#handover.standIn(dead, () => this.post({ on: "terminated", run: child.run }))) return;
    this.#deps.log.warn("Nobody answers for the old Envoy: the new one may end", { epoch: child.epoch });
  }

  async #watchTrial(of: EpochRecord): Promise<void> {
    const fresh = this.#processes.get(of.run);
    const old = servingRecord(this.#state);
    if (fresh === undefined || old === undefined) return;
    const why = await watchTrial({
      fresh: fresh.admin,
      old: this.#processes.get(old.run)?.admin,
      going: () => this.#state?.is === "trial" && this.#processes.get(of.run) === fresh,
      wait: (delay, then) => this.#arm("trial look", delay, then),
    });
    if (why !== undefined) this.post({ on: "unfit", run: of.run, why });
  }

  async #drainListeners({ of, skipExit, atOnce }: Extract<Effect, { run: "drain-listeners" }>): Promise<void> {
    const { inboundOnly, log } = this.#deps;
    const admin = of.adminLost ? undefined : this.#processes.get(of.run)?.admin;
    try {
      if (admin === undefined) throw new Error("its admin is lost");
      return atOnce ? await admin.closeListeners() : await admin.drainListeners({ inboundOnly, skipExit });
    } catch (error) {
      if (atOnce || !skipExit) return this.#drainWithoutAdmin(of, error);
      log.warn("Cannot tell Envoy to drain; its connections get their time all the same", { error });
    }
  }

  /** As a child would tell it; it closes its listeners at once, which whoever is to go on listening may not. */
  async #drainWithoutAdmin(of: EpochRecord, error: unknown): Promise<void> {
    const told = await this.#handover.tell(of, "drain-listeners").catch(describeError);
    if (told === "nobody") return;
    const how = told === "told" ? "it closes its listeners at once" : "its connections get their time all the same";
    this.#deps.log.warn("Cannot tell Envoy to drain by its admin", { epoch: of.epoch, how, error });
  }

  async #countConnections(of: EpochRecord): Promise<void> {
    const admin = of.adminLost ? undefined : this.#processes.get(of.run)?.admin;
    this.post({ on: "connections", run: of.run, seen: await this.#looks.look(admin) });
  }

  async #sampleAgain(): Promise<void> {
    const { clock } = this.#deps;
    const scraped = this.#lastScrape !== undefined && clock.monotonic() - this.#lastScrape < 3 * SAMPLE_EVERY;
    if (!scraped) await this.#sample();
    if (this.#state?.is === "live") this.#arm("sample", SAMPLE_EVERY, () => this.#background(this.#sampleAgain()));
  }

  async #sample(): Promise<void> {
    const now = this.#deps.clock.monotonic();
    const record = servingRecord(this.#state);
    const found = record && this.#processes.get(record.run);
    if (found === undefined || this.#state?.is !== "live" || record?.adminLost === true) return;
    // A little less than the time between two, so that a scraper of the same rhythm misses none.
    if (now - this.#lastSample < SAMPLE_EVERY * 0.75) return;
    this.#lastSample = now;
    await this.#looks.sample(found.admin);
  }

  #answer(ids: readonly number[], outcome: RestartOutcome): void {
    for (const id of ids) {
      this.#waiters.get(id)?.(outcome);
      this.#waiters.delete(id);
    }
  }

  #record(entry: HistoryEntry): void {
    this.#history = [entry, ...this.#history].slice(0, HISTORY);
    if (entry.by === "overlap") this.#processes.settled();
    this.#deps.onRecord(entry, entry.outcome === "refused" ? this.#refusedBy : undefined);
  }

  #finish(outcome: Outcome): void {
    for (const cancel of this.#timers.values()) cancel();
    this.#timers.clear();
    this.#answer([...this.#waiters.keys()], { is: "overtaken", why: "Envoy has ended" });
    this.#handover.close();
    this.#watch.close();
    if (this.#processes.all().length === 0) this.#deps.lineages.remove();
    this.#deps.onGone(outcome);
  }

  #arm(name: string, after: Millis, fire: () => void): void {
    this.#timers.get(name)?.();
    if (this.#state?.is === "gone") return;
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
