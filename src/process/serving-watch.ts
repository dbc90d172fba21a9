import type { Log } from "../foundation/log.ts";
import type { Clock, Millis } from "../foundation/time.ts";
import { type AdminWord, ask } from "./admin-watch.ts";
import type { Process } from "./envoy-processes.ts";
import type { Handover } from "./hot-restart/handover.ts";
import { addressesOf } from "./hot-restart/listen-addresses.ts";
import type { EpochRecord, LifecycleState } from "./lifecycle.ts";

export interface ServingWatchDeps {
  readonly clock: Clock;
  readonly log: Log;
  readonly arm: (name: string, after: Millis, fire: () => void) => void;
  readonly state: () => LifecycleState | undefined;
  readonly process: (run: number) => Process | undefined;
  readonly handover: Handover;
  readonly onWord: (run: number, word: AdminWord) => void;
  readonly onConcurrency: (workers: number | undefined) => void;
  /** What is kept may have changed. */
  readonly onKept: () => void;
  readonly onSilent: (run: number) => void;
  readonly background: (work: Promise<void>) => void;
}

/** The admin is asked so often whether its main thread still answers. */
const LOOK: Millis = 5_000;
/** With a parent: a child that waits for a hung one is found within seconds. */
const LOOK_IN_OVERLAP: Millis = 1_000;
/** Silence of the admin for that long is a hang, however busy the machine is. */
const HUNG_AFTER: Millis = 20_000;
const HUNG_IN_OVERLAP: Millis = 6_000;
/** A child of a dead parent may wait for an answer that was lost with it. */
const LOST_AFTER: Millis = 1_500;
/** Listeners change by LDS, of which we are told; this is for everything else. */
const LISTENERS_AGAIN: Millis = 30_000;
/** After a push Envoy needs a moment. */
const LISTENERS_SOON: Millis = 200;

/** Watches the Envoy that serves: whether its main thread answers, and which sockets it listens on. */
export class ServingWatch {
  readonly #deps: ServingWatchDeps;
  #answeredAt: Millis = 0;
  #asked: number | undefined;
  #lineage = -1;
  #keeping = false;
  #again = false;
  #closed = false;

  constructor(deps: ServingWatchDeps) {
    this.#deps = deps;
  }

  /** Another one serves. */
  serves(of: EpochRecord): void {
    this.#answeredAt = this.#deps.clock.monotonic();
    // Envoys of one lineage speak the same; another one is asked before its word is taken.
    if (of.lineage !== this.#lineage) this.#deps.handover.version = undefined;
    this.#lineage = of.lineage;
    this.#asked = of.run;
  }

  /** The machine is in another state. */
  entered(): void {
    if (!this.#watched()) return;
    this.#answeredAt = this.#deps.clock.monotonic();
    this.#armLook();
    this.#deps.arm("listeners", 0, () => this.#deps.background(this.#keep()));
  }

  listenersChanged(): void {
    if (this.#watched()) this.#deps.arm("listeners", LISTENERS_SOON, () => this.#deps.background(this.#keep()));
  }

  close(): void {
    this.#closed = true;
  }

  /** The Envoy to watch: none while a child may have its admin, none that has lost it. */
  #watched(): EpochRecord | undefined {
    const state = this.#deps.state();
    if (this.#closed || state === undefined) return undefined;
    // One that yields to another of its lineage still has the name under which sockets are asked for.
    const yields = state.is === "yielding" && state.old.lineage !== state.current.lineage;
    if (state.is !== "live" && state.is !== "overlap" && !yields) return undefined;
    return state.current.adminLost ? undefined : state.current;
  }

  #armLook(): void {
    const overlap = this.#deps.state()?.is === "overlap";
    this.#deps.arm("look", overlap ? LOOK_IN_OVERLAP : LOOK, () => this.#deps.background(this.#look()));
  }

  async #look(): Promise<void> {
    const record = this.#watched();
    const process = record && this.#deps.process(record.run);
    if (record === undefined || process === undefined) return;
    const info = await ask(process.admin, (word) => this.#deps.onWord(record.run, word));
    if (this.#watched()?.run !== record.run) return;
    const now = this.#deps.clock.monotonic();
    if (info !== undefined) this.#answeredAt = now;
    else this.#judge(record, now - this.#answeredAt);
    if (this.#watched() !== undefined) this.#armLook();
  }

  #judge(record: EpochRecord, silentFor: Millis): void {
    const state = this.#deps.state();
    const orphan = state?.is === "overlap" && state.parent === undefined;
    if (orphan && silentFor >= LOST_AFTER) this.#deps.handover.freeChild();
    const limit = state?.is === "overlap" ? HUNG_IN_OVERLAP : HUNG_AFTER;
    if (silentFor < limit) return;
    this.#answeredAt = this.#deps.clock.monotonic();
    this.#deps.onSilent(record.run);
  }

  /** Keeps what Envoy listens on now; again after a while. */
  async #keep(): Promise<void> {
    const record = this.#watched();
    const process = record && this.#deps.process(record.run);
    // What has changed meanwhile is looked at afterwards, and not in half a minute.
    this.#again = this.#keeping;
    if (record === undefined || process === undefined || !process.hotRestart || this.#keeping) return;
    this.#keeping = true;
    try {
      await this.#refresh(record, process);
    } catch (error) {
      this.#deps.log.debug("cannot look at Envoy's listeners", { error });
    } finally {
      this.#keeping = false;
    }
    const after = this.#again ? 0 : LISTENERS_AGAIN;
    if (this.#watched() !== undefined) this.#deps.arm("listeners", after, () => this.#deps.background(this.#keep()));
  }

  async #refresh(record: EpochRecord, { admin }: Process): Promise<void> {
    const { handover } = this.#deps;
    if (handover.version === undefined || this.#asked === record.run) {
      handover.version = await admin.hotRestartVersion();
      this.#asked = undefined;
    }
    const [info, listeners] = [await admin.serverInfo(), await admin.listeners()];
    // Somebody else may have taken the admin over meanwhile.
    if (this.#watched()?.run !== record.run || info.epoch !== record.epoch) return;
    this.#deps.onConcurrency(info.concurrency);
    await handover.keep(record, addressesOf(listeners), info.concurrency ?? 1);
    this.#deps.onKept();
  }
}
