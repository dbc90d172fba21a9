import { writeFileSync } from "node:fs";
import { noLog } from "../../src/foundation/log.ts";
import type { EnvoyAdmin } from "../../src/process/envoy-admin.ts";
import { EnvoySupervisor } from "../../src/process/envoy-supervisor.ts";
import { Lineages } from "../../src/process/hot-restart/lineages.ts";
import { sharedMemoryPath } from "../../src/process/hot-restart/shared-memory.ts";
import type { Launch, LaunchHow, Prepared, RestartAsk } from "../../src/process/launch.ts";
import type { Outcome } from "../../src/process/lifecycle.ts";
import type { ExitReport, RunningProgram } from "../../src/system/programs.ts";
import { FakeClock } from "../fakes/fake-clock.ts";
import { temporaryFolder } from "../helpers/paths.ts";
import { limits } from "./lifecycle-world.ts";

/** Lets every promise that can go on, go on. */
export const settle = async (): Promise<void> => {
  for (let turn = 0; turn < 40; turn++) await Promise.resolve();
};

export const killed: ExitReport = { how: "killed", signal: "SIGKILL" };
export const well: ExitReport = { how: "exited", code: 0 };

/** One that was started, as long as the test likes. */
export interface FakeEnvoy {
  readonly how: LaunchHow;
  readonly launch: FakeLaunch;
  readonly signals: string[];
  alive: boolean;
  exit(report: ExitReport): void;
}

/** Counts what is done with it. */
export class FakeLaunch implements Launch {
  readonly digest: string;
  readonly hotRestartVersion = "11.104";
  readonly admin = { host: "127.0.0.1", port: 1 };
  readonly parentShutdown = 15_000;
  discards = 0;
  cannotStart: Error | undefined;
  readonly #envoys: FakeEnvoys;

  constructor(envoys: FakeEnvoys, digest: string) {
    this.#envoys = envoys;
    this.digest = digest;
  }

  start(how: LaunchHow, onExit: (exit: ExitReport) => void): RunningProgram {
    if (this.discards > 0) throw new Error(`"${this.digest}" is started after it was thrown away`);
    if (this.cannotStart !== undefined) throw this.cannotStart;
    return this.#envoys.add(this, how, onExit);
  }

  discard(): void {
    this.discards += 1;
    if (this.#envoys.all.some((one) => one.launch === this && one.alive))
      throw new Error(`"${this.digest}" is thrown away while it runs`);
  }
}

/** A driver with an admin, programs, a clock and preflights that a test plays. */
export class FakeEnvoys {
  readonly clock = new FakeClock();
  readonly folder = temporaryFolder("envoys");
  readonly all: FakeEnvoy[] = [];
  readonly launches: FakeLaunch[] = [];
  readonly asked: RestartAsk[] = [];
  readonly outcomes: Outcome[] = [];
  readonly bugs: unknown[] = [];
  /** What the admin's port answers: state and epoch; undefined is silence. */
  admin: { state: string; epoch: number } | undefined = { state: "PRE_INITIALIZING", epoch: 0 };
  /** How the next preflights end; each may wait for the test. */
  prepare: (ask: RestartAsk) => Promise<Prepared> | Prepared = () => this.ready();
  readonly supervisor: EnvoySupervisor;

  constructor() {
    this.supervisor = new EnvoySupervisor({
      clock: this.clock,
      log: noLog,
      first: this.#launch(),
      prepare: async (ask) => {
        this.asked.push(ask);
        return this.prepare(ask);
      },
      noAdmin: { host: "127.0.0.1", port: 1 },
      lineages: new Lineages({ log: noLog, directory: this.folder.path, baseId: undefined, chance: Math.random }),
      sockets: () => undefined,
      adminAt: () => this.#admin() as unknown as EnvoyAdmin,
      limits,
      roles: { own: new Set(), outbound: new Set() },
      countsConnections: true,
      inboundOnly: true,
      outOfMemory: () => false,
      chance: () => 0.5,
      onSwap: () => undefined,
      onChange: () => undefined,
      onExit: () => undefined,
      onRecord: () => undefined,
      onGone: (outcome) => this.outcomes.push(outcome),
      onBug: (error) => this.bugs.push(error),
    });
  }

  #launch(): FakeLaunch {
    const made = new FakeLaunch(this, `launch ${this.launches.length}`);
    this.launches.push(made);
    return made;
  }

  ready(by: "hot-restart" | "swap" = "hot-restart"): Prepared {
    return { is: "ready", launch: this.#launch(), by, because: "asked" };
  }

  add(launch: FakeLaunch, how: LaunchHow, onExit: (exit: ExitReport) => void): RunningProgram {
    const signals: string[] = [];
    const note = (what: string): "sent" => {
      signals.push(what);
      return "sent";
    };
    const envoy: FakeEnvoy = {
      how,
      launch,
      signals,
      alive: true,
      exit(report) {
        envoy.alive = false;
        onExit(report);
      },
    };
    this.all.push(envoy);
    if (how.epoch === 0) this.flag(false, how);
    return { pid: 4_000 + this.all.length, signal: note, signalGroup: note, endGroup: () => "gone" };
  }

  /** Shared memory as Envoy has it. */
  flag(initializing: boolean, how = this.newest.how): void {
    if (how.hotRestart === undefined) return;
    const bytes = Buffer.alloc(104);
    bytes.writeBigUInt64LE(104n, 0);
    bytes.writeBigUInt64LE(11n, 8);
    bytes.writeBigUInt64LE(initializing ? 1n : 0n, 96);
    writeFileSync(sharedMemoryPath(how.hotRestart.lineage), bytes);
  }

  get newest(): FakeEnvoy {
    const found = this.all.at(-1);
    if (found === undefined) throw new Error("nobody was started");
    return found;
  }

  /** Time goes on in small steps, everything that can happen happens. */
  async pass(time: number, stepBy = 100): Promise<void> {
    for (let passed = 0; passed < time; passed += stepBy) {
      this.clock.advance(Math.min(stepBy, time - passed));
      await settle();
    }
  }

  /** The newest one is LIVE, and says so. */
  async goLive(): Promise<void> {
    this.admin = { state: "LIVE", epoch: this.newest.how.epoch };
    await this.pass(300, 20);
  }

  async start(): Promise<void> {
    this.supervisor.start();
    await this.goLive();
  }

  restart(more: Partial<RestartAsk> = {}) {
    return this.supervisor.restart({
      cause: "SIGHUP",
      strategy: "auto",
      explicit: true,
      ignoreMemory: false,
      ...more,
    });
  }

  /** Ends whatever is left; says what was wrong. */
  async done(): Promise<readonly unknown[]> {
    this.supervisor.post({ on: "stop", reason: "end", drain: false });
    for (let turn = 0; turn < 20 && this.outcomes.length === 0; turn++) {
      for (const one of this.all) if (one.alive && one.signals.length > 0) one.exit(killed);
      await this.pass(1_000, 500);
    }
    const wrong = [...this.bugs];
    if (this.outcomes.length !== 1) wrong.push(`${this.outcomes.length} ends`);
    if (this.clock.pending() > 0) wrong.push(`${this.clock.pending()} timers are left`);
    for (const one of this.launches) if (one.discards > 1) wrong.push(`${one.digest} is thrown away twice`);
    this.folder.done();
    return wrong;
  }

  #admin() {
    const answer = <T>(value: T): Promise<T> =>
      this.admin === undefined ? Promise.reject(new Error("Envoy's admin does not answer")) : Promise.resolve(value);
    return {
      hotRestartVersion: () => answer("11.104"),
      listeners: () => answer("{}"),
      responses: () => answer({ all: 0, bad: 0 }),
      drainListeners: () => answer(undefined),
      closeListeners: () => answer(undefined),
      connections: () => answer({ active: 0, inboundActive: 0, inboundTotal: 0 }),
      inboundTotal: () => answer(0),
      serverInfo: () => answer({ ...this.admin, version: "1.40.0", concurrency: 2 }),
    };
  }
}
