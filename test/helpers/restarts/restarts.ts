import { execFile } from "node:child_process";
import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { eventually } from "../eventually.ts";
import { pilotfish } from "../paths.ts";
import { ask, type Exit, type ProxyRun } from "../proxy.ts";
import {
  configFolder,
  holdsAll,
  holdsNoMore,
  lastingDescriptors,
  leftovers,
  removeSharedMemory,
  sharedMemoryOf,
} from "./leaks.ts";

/** What the command says; `outcome` and the rest only with --json. */
export interface CommandAnswer {
  readonly code: number;
  readonly said: string;
}

export interface EnvoyProcess {
  readonly epoch: number;
  readonly pid: number;
  /** live, initializing, draining, on probation, ... */
  readonly state: string;
}

export interface RestartRow {
  readonly cause: string;
  readonly outcome: string;
  readonly by: string;
  readonly epoch: number | string;
}

interface Page {
  readonly envoy: { readonly state: string; readonly epoch: number; readonly rows: readonly EnvoyProcess[] };
  readonly restarts: { readonly rows: readonly RestartRow[] };
}

/** The smallest times: the old Envoy lives for six seconds beside the new one. */
export const shortTimers = ["--drainDuration", "1s", "--parentShutdownDuration", "6s"] as const;
/** When an old Envoy ends, from the moment at which the new one is live, ms. */
export const PARENT_SHUTDOWN = 6_000;

/** Restarts of a running proxy: how they are asked for, what is to be seen of them, what they leave behind. */
export class Restarts {
  readonly proxy: ProxyRun;
  #before: readonly string[] = [];
  #sharedMemory: readonly string[] = [];

  constructor(proxy: ProxyRun) {
    this.proxy = proxy;
  }

  /** `pilotfish hot-restart WORDS`, from the proxy's working directory. */
  command(...words: readonly string[]): Promise<CommandAnswer> {
    return new Promise((resolve) => {
      execFile(pilotfish, ["hot-restart", ...words], { cwd: this.proxy.folder.path }, (error, stdout, stderr) => {
        resolve({ code: error === null ? 0 : Number(error.code ?? -1), said: `${stdout}${stderr}`.trim() });
      });
    });
  }

  /** Asks, waits for the outcome and then for the end of the old Envoy; fails when it did not go well. */
  async restart(...words: readonly string[]): Promise<CommandAnswer> {
    const answer = await this.command("--wait", ...words);
    if (answer.code !== 0) throw new Error(`${answer.said}\n${this.proxy.output}`);
    await this.untilAlone();
    return answer;
  }

  /** The status page of this moment. */
  async page(): Promise<Page> {
    const to = { socketPath: join(configFolder(this.proxy.folder.path), "pilotfish.sock") };
    const answer = await ask(to, "/status", { headers: { accept: "application/json" } });
    this.#sharedMemory = [...new Set([...this.#sharedMemory, ...sharedMemoryOf(this.proxy.folder.path)])];
    return JSON.parse(answer.body) as Page;
  }

  /** Envoy's processes, newest first. */
  async envoys(): Promise<readonly EnvoyProcess[]> {
    return (await this.page()).envoy.rows;
  }

  /** Process ids by epoch. */
  async pids(): Promise<ReadonlyMap<number, number>> {
    return new Map((await this.envoys()).map(({ epoch, pid }) => [epoch, pid]));
  }

  /** What became of the restarts so far, newest first. */
  async history(): Promise<readonly RestartRow[]> {
    return (await this.page()).restarts.rows;
  }

  /** One Envoy, live, and nothing else going on; gives it. */
  async untilAlone(limit?: number): Promise<EnvoyProcess> {
    return eventually(
      "one Envoy, alone",
      async () => {
        const { state, rows } = (await this.page()).envoy;
        const [only, second] = rows;
        return state === "live" && second === undefined && only?.state === "live" ? only : undefined;
      },
      limit,
    ).catch((error: unknown) => {
      throw new Error(`${String(error)}\n${this.proxy.output}`, { cause: error });
    });
  }

  /**
   * Waits until every worker's listen sockets of all these ports are kept, then remembers what is held. All the ports
   * that are kept: one that comes later would count as one too much in the end.
   */
  async keeps(...ports: readonly number[]): Promise<void> {
    await eventually("kept sockets", () => ports.every((port) => holdsAll(this.proxy.pid, port)));
    this.#before = lastingDescriptors(this.proxy.pid);
  }

  /** The custom configuration as it is in its file now. */
  bootstrap(): object {
    return JSON.parse(readFileSync(this.#custom, "utf8")) as object;
  }

  /** Changes the custom configuration; by a rename, as whoever does it well. */
  rewrite(change: (bootstrap: object) => object): void {
    writeFileSync(`${this.#custom}.new`, JSON.stringify(change(this.bootstrap())));
    renameSync(`${this.#custom}.new`, this.#custom);
  }

  get #custom(): string {
    return join(this.proxy.folder.path, "custom.json");
  }

  /** No zombie, no more descriptors than at `keeps`. */
  async holdsNoMore(): Promise<void> {
    // After a swap the admin's port is ours to listen on.
    const admin = /The new Envoy has taken over/.test(this.proxy.output) ? 1 : 0;
    await holdsNoMore(this.proxy.pid, this.#before, admin);
  }

  /** The end of a test: nothing is held that was not before; SIGTERM, a clean end, and nothing of it is left. */
  async ends(): Promise<Exit> {
    await this.page();
    if (this.#before.length > 0) await this.holdsNoMore();
    this.proxy.signal("SIGTERM");
    const exit = await this.proxy.exited;
    const left = leftovers(this.proxy.folder.path, this.#sharedMemory);
    if (left.length > 0) throw new Error(`left behind: ${left.join(", ")}\n${this.proxy.output}`);
    return exit;
  }

  /** For afterEach: ends it whatever happened. */
  async done(): Promise<void> {
    const files = [...this.#sharedMemory, ...sharedMemoryOf(this.proxy.folder.path)];
    await this.proxy.done();
    removeSharedMemory(files);
  }
}
