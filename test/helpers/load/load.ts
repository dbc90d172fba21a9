import { type ChildProcess, fork } from "node:child_process";
import { join } from "node:path";
import { root } from "../paths.ts";
import {
  type EntryTally,
  type FailureKind,
  type FromProgram,
  failureKinds,
  type LoadEntry,
  type LoadFailure,
  type LoadTally,
  type ToProgram,
} from "./plan.ts";

export type { EntryTally, FailureKind, LoadEntry, LoadFailure, LoadKind, LoadTally, LoadTls } from "./plan.ts";
export { preciseNow } from "./plan.ts";

/**
 * Load from a process of its own, which never repeats a request and counts what went wrong by kind. Start it, do what
 * is to be survived, `stop`, look at the report. `done` in afterEach ends it whatever happened.
 */
export class Load {
  readonly #child: ChildProcess;
  readonly #waiting = new Set<(message: FromProgram | undefined) => boolean>();
  #asked = 0;
  #report: LoadReport | undefined;
  #said = "";

  private constructor(prefix: readonly string[]) {
    const [first = process.execPath, ...rest] = prefix;
    this.#child = fork(join(root, "test/helpers/load/program.ts"), {
      stdio: ["ignore", "pipe", "pipe", "ipc"],
      execPath: first,
      execArgv: prefix.length === 0 ? [] : [...rest, process.execPath],
    });
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      stream?.setEncoding("utf8").on("data", (text: string) => {
        this.#said += text;
      });
    }
    this.#child.on("message", (message) => this.#hear(message as FromProgram));
    this.#child.once("close", () => this.#hear(undefined));
  }

  /** Resolves when all clients run. `prefix`: words that run a program elsewhere, in a namespace. */
  static async start(entries: readonly LoadEntry[], prefix: readonly string[] = []): Promise<Load> {
    const load = new Load(prefix);
    await load.#next("loaded");
    load.#tell({ tell: "start", entries });
    await load.#next("started");
    return load;
  }

  /** The counts of this moment. */
  async tally(): Promise<LoadReport> {
    if (this.#report !== undefined) return this.#report;
    const id = this.#asked++;
    this.#tell({ tell: "tally", id });
    const answer = await this.#next("tally", (message) => message.id === id);
    return new LoadReport(answer.tally);
  }

  /** No new request; those in flight are waited for. */
  async stop(): Promise<LoadReport> {
    if (this.#report === undefined) {
      this.#tell({ tell: "stop" });
      this.#report = new LoadReport((await this.#next("stopped")).tally);
      await this.#ended();
    }
    return this.#report;
  }

  /** Ends the process, stopped or not; then nothing of it is left. */
  async done(): Promise<void> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) this.#child.kill("SIGKILL");
    await this.#ended();
  }

  #tell(message: ToProgram): void {
    // A send to a dead program would be an uncaught error; whoever waits for the answer hears of the end.
    if (this.#child.connected) this.#child.send(message);
  }

  #hear(message: FromProgram | undefined): void {
    for (const one of this.#waiting) if (one(message)) this.#waiting.delete(one);
  }

  #next<S extends FromProgram["say"]>(
    say: S,
    fits: (message: Extract<FromProgram, { say: S }>) => boolean = () => true,
  ): Promise<Extract<FromProgram, { say: S }>> {
    return new Promise((resolve, reject) => {
      if (!this.#child.connected) reject(new Error(`the load's process has ended: ${this.#said}`));
      this.#waiting.add((message) => {
        if (message === undefined) {
          reject(new Error(`the load's process has ended: ${this.#said}`));
          return true;
        }
        const wanted = message as Extract<FromProgram, { say: S }>;
        if (message.say !== say || !fits(wanted)) return false;
        resolve(wanted);
        return true;
      });
    });
  }

  #ended(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return Promise.resolve();
    return new Promise((resolve) => this.#child.once("exit", () => resolve()));
  }
}

/** Counts by entry, with sums. */
export class LoadReport {
  readonly tally: LoadTally;

  constructor(tally: LoadTally) {
    this.tally = tally;
  }

  entry(name: string): EntryTally {
    const found = this.tally.entries[name];
    if (found === undefined) throw new Error(`no entry "${name}"`);
    return found;
  }

  /** Requests that went well, of all entries. */
  get ok(): number {
    return this.#sum(({ ok }) => ok);
  }

  get requests(): number {
    return this.#sum(({ requests }) => requests);
  }

  count(what: FailureKind): number {
    return this.#sum((one) => one[what]);
  }

  get failed(): number {
    return failureKinds.reduce((sum, what) => sum + this.count(what), 0);
  }

  /** Failures, perhaps only those that began in a span of time (preciseNow). */
  failures(from = 0, to = Number.POSITIVE_INFINITY): readonly LoadFailure[] {
    return this.tally.failures.filter(({ began }) => began >= from && began <= to);
  }

  /** One line for a person, and for a failed test's message. */
  toString(): string {
    const entries = Object.entries(this.tally.entries).map(([name, tally]) => {
      const bad = failureKinds.filter((what) => tally[what] > 0).map((what) => `${tally[what]} ${what}`);
      return `${name} ${tally.ok}/${tally.requests}${bad.length > 0 ? ` (${bad.join(", ")})` : ""}`;
    });
    return entries.join("; ");
  }

  #sum(of: (tally: EntryTally) => number): number {
    return Object.values(this.tally.entries).reduce((sum, one) => sum + of(one), 0);
  }
}
