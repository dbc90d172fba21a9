import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import { readSharedMemory, sharedMemoryPath } from "../../../src/process/hot-restart/shared-memory.ts";
import { type App, startApp } from "../app.ts";
import { eventually } from "../eventually.ts";
import { Load, type LoadEntry, type LoadFailure, type LoadReport, preciseNow } from "../load/load.ts";
import { temporaryFolder } from "../paths.ts";
import { ask, drawPorts, type Ports, type ProxyOptions, type ProxyRun, staticProxy } from "../proxy.ts";
import { type Holder, holdingEnvoy } from "./holding-envoy.ts";

export interface FaultOptions extends Pick<ProxyOptions, "args" | "env" | "prefix"> {
  /** One when not said. */
  readonly workers?: number;
  /** How long an old Envoy lives on, seconds; the least that the configuration takes when not said. */
  readonly parentShutdown?: number;
  /** Another program than the Envoy that can be held. */
  readonly envoy?: string;
}

/** One process of Envoy as the status shows it. */
export interface Shown {
  readonly epoch: number;
  readonly pid: number;
  readonly state: string;
}

/** One line of the history. */
export interface Told {
  readonly cause: string;
  readonly outcome: string;
  readonly by: string;
}

/** Both protocols of a web server, by few and unhurried clients: the machine is shared. */
const usual: readonly Omit<LoadEntry, "port">[] = [
  { kind: "keep-alive", clients: 2, pause: 4 },
  { kind: "new-connection", clients: 2, pause: 4 },
];

/**
 * The built program with a real Envoy under load, for faults: what is killed when, and what that did to whom. `done`
 * ends it; `end` ends it in the ordinary way and looks for what was left behind.
 */
export class FaultRun {
  readonly ports: Ports;
  readonly app: App;
  readonly proxy: ProxyRun;
  readonly holder: Holder;
  readonly #folder: ReturnType<typeof temporaryFolder>;
  readonly #loads: Load[] = [];

  private constructor(ports: Ports, app: App, options: FaultOptions) {
    const { workers = 1, parentShutdown = 6, args = [], env = {}, prefix = [], envoy } = options;
    this.ports = ports;
    this.app = app;
    this.#folder = temporaryFolder("faults");
    this.holder = holdingEnvoy(this.#folder.path);
    const settings = { drainDuration: "1s", parentShutdownDuration: `${parentShutdown}s`, concurrency: workers };
    this.proxy = staticProxy(ports, {
      prefix,
      args: ["--log_output_level", "default:info,envoy:debug", ...args, "--concurrency", String(workers)],
      env: { PILOTFISH_ENVOY: envoy ?? this.holder.program, PROXY_CONFIG: JSON.stringify(settings), ...env },
    });
  }

  static async start(options: FaultOptions = {}): Promise<FaultRun> {
    const app = await startApp();
    const ports = { ...(await drawPorts()), app: app.port };
    const run = new FaultRun(ports, app, options);
    await run.ready();
    return run;
  }

  ready(): Promise<unknown> {
    return eventually(
      "ready",
      async () => (await ask({ port: this.ports.readiness }, "/healthz/ready")).status === 200,
    ).catch((error: unknown) => {
      throw new Error(`${String(error)}\n${this.proxy.output}`, { cause: error });
    });
  }

  /** Listen sockets are kept beside Envoy from now on. */
  async kept(): Promise<void> {
    await eventually("sockets are kept", () => this.#heldSockets() > 0).catch((error: unknown) => {
      throw new Error(`${String(error)}\n${this.proxy.output}`, { cause: error });
    });
  }

  /** The usual load on the application's listener. */
  async load(entries: readonly Omit<LoadEntry, "port">[] = usual): Promise<Load> {
    const load = await Load.start(entries.map((one) => ({ ...one, port: this.ports.listener })));
    this.#loads.push(load);
    await eventually("the load runs", async () => (await load.tally()).ok > 10);
    return load;
  }

  /** Sends SIGHUP; the first new Envoy is held before its exec. */
  async holdChild(): Promise<number> {
    this.holder.hold();
    this.proxy.signal("SIGHUP");
    return this.holder.held();
  }

  /** What the log says from now on. */
  story(): Story {
    return new Story(this.proxy, this.proxy.output.length);
  }

  async shown(): Promise<readonly Shown[]> {
    const { rows } = await this.#table("envoy");
    return rows.map(([epoch, pid, state]) => ({ epoch: Number(epoch), pid: Number(pid), state: String(state) }));
  }

  /** Restarts so far, the newest first. */
  async history(): Promise<readonly Told[]> {
    const { rows } = await this.#table("restarts");
    return rows.map(([, cause, outcome, by]) => ({ cause: String(cause), outcome: String(outcome), by: String(by) }));
  }

  /** The one that serves, when nothing else is there. */
  async alone(): Promise<Shown> {
    return eventually("one Envoy serves alone", async () => {
      const [only, ...others] = await this.shown();
      return only?.state === "live" && others.length === 0 ? only : undefined;
    });
  }

  /** Processes of the status, by what they do. */
  async who(state: string): Promise<Shown> {
    return eventually(`one is ${state}`, async () => (await this.shown()).find((one) => one.state === state));
  }

  /** Kills, and gives the moment after which nothing of it served. */
  kill(pid: number, signal: NodeJS.Signals = "SIGKILL"): number {
    process.kill(pid, signal);
    return preciseNow();
  }

  baseId(pid: number): number {
    const words = readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0");
    return Number(words[words.indexOf("--base-id") + 1]);
  }

  /** A clean stop: exit code 0, no zombie on the way, nothing left. */
  async end(): Promise<void> {
    for (const load of this.#loads) await load.done();
    const { pid } = await this.alone();
    const baseId = this.baseId(pid);
    expect(readSharedMemory({ baseId }), "no flag is left").toMatchObject({ is: "known", initializing: false });
    expect(zombiesOf(this.proxy.pid), "zombies").toEqual([]);
    this.proxy.signal("SIGTERM");
    expect(await this.proxy.exited, this.proxy.output).toEqual({ code: 0, signal: null });
    expect(readSharedMemory({ baseId }), sharedMemoryPath({ baseId })).toEqual({ is: "absent" });
    expect(leftIn(join(this.proxy.folder.path, "etc/istio/proxy"))).toEqual([]);
  }

  async done(): Promise<void> {
    for (const load of this.#loads) await load.done();
    await this.proxy.done();
    await this.app.close();
    this.#folder.done();
  }

  async #table(key: string): Promise<{ readonly rows: readonly (readonly unknown[])[] }> {
    const socketPath = join(this.proxy.folder.path, "etc/istio/proxy/pilotfish.sock");
    const { body } = await ask({ socketPath }, "/status", { headers: { accept: "application/json" } });
    const page = JSON.parse(body) as Record<string, { rows?: readonly Record<string, unknown>[] }>;
    return { rows: (page[key]?.rows ?? []).map((row) => Object.values(row)) };
  }

  /** Listen sockets among our descriptors that are Envoy's. */
  #heldSockets(): number {
    return listening(this.proxy.pid, this.ports.listener);
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

  async says(...lines: readonly RegExp[]): Promise<void> {
    let last: RegExp | undefined;
    await eventually("the story", () => {
      let rest = this.text;
      for (const line of lines) {
        const found = line.exec(rest);
        last = line;
        if (found === null) return false;
        rest = rest.slice(found.index + found[0].length);
      }
      return true;
    }).catch((error: unknown) => {
      throw new Error(`the log does not say ${String(last)}:\n${this.text}`, { cause: error });
    });
  }
}

/** Children of a process that have ended and were not waited for. */
export function zombiesOf(pid: number): readonly number[] {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim().split(" ").filter(Boolean);
  return children.map(Number).filter((one) => {
    try {
      return readFileSync(`/proc/${one}/stat`, "utf8").split(") ").pop()?.startsWith("Z") === true;
    } catch {
      return false;
    }
  });
}

const leftIn = (folder: string): readonly string[] => {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
};

/** How many of a process' descriptors are TCP sockets that listen on a port of 127.0.0.1. */
export function listening(pid: number, port: number): number {
  const hex = port.toString(16).toUpperCase().padStart(4, "0");
  const inodes = new Set(
    readFileSync(`/proc/${pid}/net/tcp`, "utf8")
      .split("\n")
      .map((line) => line.trim().split(/\s+/))
      .filter(([, local = "", , state]) => local.endsWith(`:${hex}`) && state === "0A")
      .map((words) => words[9]),
  );
  return descriptorsOf(pid).filter((target) => inodes.has(/^socket:\[(\d+)\]$/.exec(target)?.[1])).length;
}

function descriptorsOf(pid: number): readonly string[] {
  const folder = `/proc/${pid}/fd`;
  return readdirSync(folder).flatMap((one) => {
    try {
      return [readlinkSync(join(folder, one))];
    } catch {
      return [];
    }
  });
}

/** Nothing went wrong at all. */
export function expectNoneFailed(report: LoadReport): void {
  expect(report.failures(), String(report)).toEqual([]);
}

/** Between a signal and the last moment in which a dying process may have done something. */
const DYING = 50;

/**
 * Nobody was refused and nobody waited in vain; what failed was on a connection that the dead ones had accepted. Gives
 * how many those were.
 */
export function expectOnlyInFlight(report: LoadReport, deaths: readonly number[], atMostEach: number): number {
  const wrong = report.failures().filter((one) => !wasOn(one, deaths));
  expect(wrong, String(report)).toEqual([]);
  expect(report.failed, String(report)).toBeLessThanOrEqual(atMostEach * deaths.length);
  return report.failed;
}

/** Its connection was older than one of the deaths, and it failed by it. */
function wasOn({ what, failed, connectionAge }: LoadFailure, deaths: readonly number[]): boolean {
  if (what !== "reset" && what !== "truncated") return false;
  if (connectionAge === undefined) return false;
  const opened = failed - connectionAge;
  return deaths.some((at) => opened <= at + DYING && failed >= at - DYING && failed <= at + 2_000);
}
