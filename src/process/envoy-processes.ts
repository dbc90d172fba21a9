import { Unavailable } from "../foundation/errors.ts";
import type { HttpTarget } from "../system/http-client.ts";
import type { ExitReport, RunningProgram } from "../system/programs.ts";
import { EnvoyAdmin } from "./envoy-admin.ts";
import type { Handover } from "./hot-restart/handover.ts";
import type { Lineages } from "./hot-restart/lineages.ts";
import type { Launch, LaunchHow, Serving } from "./launch.ts";
import type { Effect, EpochRecord } from "./lifecycle/states.ts";

/** A process of ours that is alive. */
export interface Process {
  readonly record: EpochRecord;
  readonly program: RunningProgram;
  readonly launch: Launch;
  readonly admin: EnvoyAdmin;
  readonly target: HttpTarget;
  /** False: it runs with --disable-hot-restart. */
  readonly hotRestart: boolean;
}

export interface ProcessesDeps {
  readonly first: Launch;
  readonly lineages: Lineages;
  readonly handover: Handover;
  /** Where an admin is asked for when the bootstrap has none: every question fails there. */
  readonly noAdmin: HttpTarget;
  /** For tests: who answers at that address. */
  readonly adminAt?: (target: HttpTarget) => EnvoyAdmin;
}

/** One second is the least that Envoy takes: it has nothing to wait for, since we are its parent. */
const STOOD_IN_SHUTDOWN = 1_000;

/** The Envoys that are alive, and what each of them was started with. */
export class EnvoyProcesses {
  /** Worker threads of the first one that said so: the later ones get as many. */
  concurrency: number | undefined;
  readonly #deps: ProcessesDeps;
  readonly #alive = new Map<number, Process>();
  /** Those whose files are there. */
  readonly #known: Set<Launch>;
  #proven: Launch;
  #prepared: Launch;
  /** What served before the proven one, as long as that is young. */
  #before: Launch | undefined;

  constructor(deps: ProcessesDeps) {
    this.#deps = deps;
    this.#proven = deps.first;
    this.#prepared = deps.first;
    this.#known = new Set([deps.first]);
  }

  get(run: number): Process | undefined {
    return this.#alive.get(run);
  }

  all(): readonly Process[] {
    return [...this.#alive.values()];
  }

  pids(): ReadonlyMap<number, number> {
    return new Map([...this.#alive].map(([run, { program }]) => [run, program.pid]));
  }

  /** What a preflight has made; it is thrown away when the next one comes before it was started. */
  prepare(launch: Launch): void {
    this.#known.add(launch);
    this.#prepared = launch;
    this.#tidy();
  }

  /** Starts it as the machine says. Throws what keeps it from starting. */
  start({ of, over, using }: Extract<Effect, { run: "start" }>, hooks: StartHooks): Process {
    const launch = this.#launchFor(using);
    const { lineages, handover } = this.#deps;
    if (of.lineage > 0 && lineages.adminPath(of.lineage) === undefined)
      throw new Unavailable("a second Envoy needs an admin socket of its own, and there is no folder for it");
    if (over === "parent") handover.beforeChild(of);
    if (over === "kept-sockets") handover.adopt(of, hooks.onTerminated);
    if (over === "nobody") handover.endStandIn();
    const how = this.#howFor(of, over, launch);
    const adminPath = lineages.adminPath(of.lineage);
    const target = adminPath === undefined ? (launch.admin ?? this.#deps.noAdmin) : { socketPath: adminPath };
    const program = launch.start(how, hooks.onExit);
    const admin = this.#deps.adminAt?.(target) ?? new EnvoyAdmin(target);
    const started = { record: of, program, launch, admin, target, hotRestart: how.hotRestart !== undefined };
    this.#alive.set(of.run, started);
    return started;
  }

  /** Whatever Envoy started and left behind in its group goes with it. */
  bury(run: number): void {
    this.#alive.get(run)?.program.endGroup();
    this.#alive.delete(run);
    this.#tidy();
  }

  /** It serves: what it was started with is what a crash starts again. */
  serves(run: number): void {
    const launch = this.#alive.get(run)?.launch;
    if (launch === undefined || launch === this.#proven) return;
    this.#before = this.#proven;
    this.#proven = launch;
    this.#tidy();
  }

  /** It has served for long enough: there is no way back to what was before. */
  settled(): void {
    this.#before = undefined;
    this.#tidy();
  }

  serving(run: number): Serving | undefined {
    const found = this.#alive.get(run);
    if (found === undefined) return undefined;
    const { program, launch, hotRestart } = found;
    const hotRestartVersion = this.#deps.handover.version ?? launch.hotRestartVersion;
    return { pid: program.pid, digest: launch.digest, hotRestartVersion, hotRestart };
  }

  #launchFor(using: "prepared" | "proven" | "before"): Launch {
    if (using === "prepared") return this.#prepared;
    if (using === "before" && this.#before !== undefined) {
      this.#proven = this.#before;
      this.#before = undefined;
    }
    return this.#proven;
  }

  #howFor(of: EpochRecord, over: string, launch: Launch): LaunchHow {
    const { lineages } = this.#deps;
    const lineage = over === "nobody" ? lineages.begin(of.lineage) : lineages.of(of.lineage);
    if (lineage === undefined && over !== "nobody") throw new Unavailable("hot restart is off");
    const parentShutdown = over === "kept-sockets" ? STOOD_IN_SHUTDOWN : launch.parentShutdown;
    return {
      epoch: of.epoch,
      hotRestart: lineage && { lineage, parentShutdown },
      adminPath: lineages.adminPath(of.lineage),
      concurrency: this.concurrency,
    };
  }

  #inUse(launch: Launch): boolean {
    if (launch === this.#proven || launch === this.#before) return true;
    return this.all().some((one) => one.launch === launch);
  }

  /** Whoever nobody will start any more is thrown away, once. */
  #tidy(): void {
    for (const launch of this.#known) {
      if (this.#inUse(launch) || launch === this.#prepared) continue;
      this.#known.delete(launch);
      launch.discard();
    }
  }
}

export interface StartHooks {
  readonly onExit: (exit: ExitReport) => void;
  readonly onTerminated: () => void;
}
