import { readFileSync } from "node:fs";
import { expect } from "vitest";
import { readSharedMemory } from "../../../src/process/hot-restart/shared-memory.ts";
import { alive } from "../alive.ts";
import { type App, startApp } from "../app.ts";
import { eventually, patience } from "../eventually.ts";
import { Load, type LoadEntry, type LoadFailure, type LoadReport, preciseNow } from "../load/load.ts";
import { temporaryFolder } from "../paths.ts";
import { ask, drawPorts, type Ports, type ProxyOptions, type ProxyRun, staticProxy } from "../proxy.ts";
import { heldSockets, zombiesBelow } from "../restarts/leaks.ts";
import { type EnvoyProcess, type RestartRow, Restarts, shortTimers } from "../restarts/restarts.ts";
import { type Holder, holdingEnvoy } from "./holding-envoy.ts";

export interface FaultOptions extends Pick<ProxyOptions, "args" | "env" | "prefix"> {
  /** One when not said. */
  readonly workers?: number;
  /** Another program than the Envoy that can be held. */
  readonly envoy?: string;
}

/** Both protocols of a web server, by few and unhurried clients: the machine is shared. */
const usual: readonly Omit<LoadEntry, "port">[] = [
  { kind: "keep-alive", clients: 2, pause: 4 },
  { kind: "new-connection", clients: 2, pause: 4 },
];
/** Of the usual load: more than these cannot be in flight. */
export const CLIENTS = 4;

/** The built program with a real Envoy under load, for faults: what is killed when, and what that did to whom. */
export class FaultRun extends Restarts {
  readonly ports: Ports;
  readonly app: App;
  readonly holder: Holder;
  readonly #removeFolder: () => void;
  readonly #loads: Load[] = [];

  private constructor(proxy: ProxyRun, parts: Pick<FaultRun, "ports" | "app" | "holder">, removeFolder: () => void) {
    super(proxy);
    ({ ports: this.ports, app: this.app, holder: this.holder } = parts);
    this.#removeFolder = removeFolder;
  }

  /** Resolves when Envoy serves and its listen sockets are kept. */
  static async start(options: FaultOptions = {}): Promise<FaultRun> {
    const run = await FaultRun.startWithoutKeeping(options);
    await run.keeps();
    return run;
  }

  /** Waits until the listen sockets of all listeners are kept, then remembers what is held, for `end`. */
  override keeps(): Promise<void> {
    const { listener, readiness, prometheus } = this.ports;
    return super.keeps(listener, readiness, prometheus);
  }

  static async startWithoutKeeping(options: FaultOptions = {}): Promise<FaultRun> {
    const { workers = 1, args = [], env = {}, prefix = [], envoy } = options;
    const app = await startApp();
    const ports = { ...(await drawPorts()), app: app.port };
    const folder = temporaryFolder("faults");
    const holder = holdingEnvoy(folder.path);
    const proxy = staticProxy(ports, {
      prefix,
      args: [...shortTimers, ...args, "--concurrency", String(workers)],
      env: { PILOTFISH_ENVOY: envoy ?? holder.program, ...env },
    });
    const run = new FaultRun(proxy, { ports, app, holder }, folder.done);
    try {
      await run.ready();
    } catch (error) {
      await run.done();
      throw error;
    }
    return run;
  }

  ready(): Promise<unknown> {
    const answers = async () => (await ask({ port: this.ports.readiness }, "/healthz/ready")).status === 200;
    return eventually("ready", answers).catch((error: unknown) => {
      throw new Error(`${String(error)}\n${this.proxy.output}`, { cause: error });
    });
  }

  /** Listen sockets are kept beside Envoy. */
  async kept(): Promise<void> {
    await eventually("sockets are kept", () => heldSockets(this.proxy.pid, this.ports.listener) > 0);
  }

  /** The usual load on the application's listener. */
  async load(entries: readonly Omit<LoadEntry, "port">[] = usual): Promise<Load> {
    const load = await Load.start(entries.map((one) => ({ ...one, port: this.ports.listener })));
    this.#loads.push(load);
    await eventually("the load runs", async () => (await load.tally()).ok > 10);
    return load;
  }

  /** Sends SIGHUP; the new Envoy is held before its exec. Gives its pid. */
  async holdChild(): Promise<number> {
    this.holder.hold();
    this.proxy.signal("SIGHUP");
    return this.holder.held();
  }

  /** What the log says from now on. */
  story(): Story {
    return new Story(this.proxy, this.proxy.output.length);
  }

  /** A process of the status, by what it does. */
  async who(state: string): Promise<EnvoyProcess> {
    return eventually(`one is ${state}`, async () => (await this.envoys()).find((one) => one.state === state));
  }

  /** A hot restart has just taken over: both are there. */
  async overlap(): Promise<{ readonly old: EnvoyProcess; readonly newest: EnvoyProcess }> {
    this.proxy.signal("SIGHUP");
    return { old: await this.who("draining"), newest: await this.who("live") };
  }

  /** Another hot restart goes well, to its very end. */
  async nextRestartWorks(): Promise<void> {
    const story = this.story();
    const { epoch } = await this.untilAlone();
    this.proxy.signal("SIGHUP");
    await story.says(/Hot restart begins/, /The new Envoy serves; the old one drains/, /The new Envoy is alone/);
    expect(await this.untilAlone()).toMatchObject({ epoch: epoch + 1 });
    expect(await this.latest()).toMatchObject({ cause: "SIGHUP", outcome: "restarted", by: "hot-restart" });
  }

  /** The newest entry of the history. */
  async latest(): Promise<RestartRow | undefined> {
    return (await this.history())[0];
  }

  /** Kills, and gives the moment after which nothing of it served. */
  kill(pid: number, signal: NodeJS.Signals = "SIGKILL"): number {
    process.kill(pid, signal);
    return preciseNow();
  }

  async gone(pid: number): Promise<void> {
    await eventually("it has ended", () => !alive(pid));
  }

  baseId(pid: number): number {
    const words = readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0");
    return Number(words[words.indexOf("--base-id") + 1]);
  }

  /** The end of every test: no flag, no zombie, no descriptor too much, exit code 0, nothing left. */
  async end(): Promise<void> {
    for (const load of this.#loads) await load.done();
    const { pid } = await this.untilAlone();
    await eventually("no zombie", () => zombiesBelow(this.proxy.pid).length === 0);
    const state = readSharedMemory({ baseId: this.baseId(pid) });
    if (state.is === "known") expect(state.initializing, "the flag of a dead child is left").toBe(false);
    expect(await this.ends(), this.proxy.output).toEqual({ code: 0, signal: null });
  }

  override async done(): Promise<void> {
    for (const load of this.#loads) await load.done();
    await super.done();
    await this.app.close();
    this.#removeFolder();
  }
}

/** What the log said since a moment, looked at as a story: these lines in this order. */
export class Story {
  readonly #proxy: ProxyRun;
  readonly #from: number;

  constructor(proxy: ProxyRun, from: number) {
    this.#proxy = proxy;
    this.#from = from;
  }

  get text(): string {
    return this.#proxy.output.slice(this.#from);
  }

  /** When the log said it, as preciseNow tells time. */
  momentOf(line: RegExp): number {
    const found = this.text.split("\n").find((one) => line.test(one)) ?? "";
    return Date.parse(found.split("\t")[0] ?? "");
  }

  says(...lines: readonly RegExp[]): Promise<void> {
    return this.#says(patience, lines);
  }

  /** What takes its time by design: an Envoy is given 20 s before it counts as hung. */
  saysLate(...lines: readonly RegExp[]): Promise<void> {
    return this.#says(patience + 30_000, lines);
  }

  async #says(limit: number, lines: readonly RegExp[]): Promise<void> {
    let missing: RegExp | undefined;
    await eventually(
      "the story",
      () => {
        let rest = this.text;
        missing = lines.find((line) => {
          const found = line.exec(rest);
          rest = found === null ? rest : rest.slice(found.index + found[0].length);
          return found === null;
        });
        return missing === undefined;
      },
      limit,
    ).catch((error: unknown) => {
      throw new Error(`the log does not say ${String(missing)}:\n${this.text}`, { cause: error });
    });
  }
}

/** Nothing went wrong at all. */
export function expectNoneFailed(report: LoadReport): void {
  expect(report.failures(), String(report)).toEqual([]);
}

/** Between a signal and the last moment in which a dying process may have done something, ms. */
const DYING = 50;

/**
 * Nobody was refused and nobody waited in vain; what failed was on a connection that one of the dead ones had accepted,
 * and no client failed twice by one death.
 */
export function expectOnlyInFlight(report: LoadReport, deaths: readonly number[], clients = CLIENTS): void {
  const wrong = report.failures().filter((one) => !deaths.some((at) => fellWith(one, at)));
  expect(wrong, String(report)).toEqual([]);
  expect(report.failed, String(report)).toBeLessThanOrEqual(clients * deaths.length);
}

/** Nobody was refused, and whoever failed was on a connection that had been made before a moment. */
export function expectOnlyOlder(report: LoadReport, than: number): void {
  const opened = ({ failed, connectionAge }: LoadFailure): number => failed - (connectionAge ?? 0);
  const wrong = report.failures().filter((one) => one.what === "refused" || opened(one) > than + DYING);
  expect(wrong, String(report)).toEqual([]);
}

/** It failed by that death: its connection was older, and was cut then. */
function fellWith({ what, failed, connectionAge }: LoadFailure, at: number): boolean {
  if ((what !== "reset" && what !== "truncated") || connectionAge === undefined) return false;
  return failed - connectionAge <= at + DYING && failed >= at - DYING && failed <= at + 2_000;
}
