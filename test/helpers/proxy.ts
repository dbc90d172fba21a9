import { type ChildProcess, spawn } from "node:child_process";
import { mkdirSync, readdirSync, readlinkSync, writeFileSync } from "node:fs";
import { request } from "node:http";
import { join } from "node:path";
import { alive } from "./alive.ts";
import { eventually } from "./eventually.ts";
import { freePorts } from "./free-ports.ts";
import { envoy, pilotfish, temporaryFolder } from "./paths.ts";
import { removeSharedMemory, sharedMemoryOf } from "./restarts/leaks.ts";
import { type StaticOptions, staticBootstrap } from "./static-bootstrap.ts";

export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: string;
}

/** One HTTP request on a fresh connection; rejects like Node does. */
export function ask(
  to: { readonly port: number; readonly host?: string } | { readonly socketPath: string },
  path: string,
  options: { readonly method?: string; readonly headers?: Record<string, string>; readonly timeout?: number } = {},
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const target = "port" in to ? { host: to.host ?? "127.0.0.1", port: to.port } : to;
    const outgoing = request({
      ...target,
      path,
      method: options.method ?? "GET",
      headers: options.headers ?? {},
      agent: false,
    });
    outgoing.setTimeout(options.timeout ?? 10_000, () => outgoing.destroy(new Error("no answer in time")));
    outgoing.once("error", reject);
    outgoing.once("response", (incoming) => {
      let body = "";
      incoming.setEncoding("utf8");
      incoming.on("data", (part: string) => {
        body += part;
      });
      incoming.once("error", reject);
      incoming.once("end", () => resolve({ status: incoming.statusCode ?? 0, headers: incoming.headers, body }));
    });
    outgoing.end();
  });
}

export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export interface ProxyOptions {
  readonly args?: readonly string[];
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Words in front of the program: unshare, setpriv, … */
  readonly prefix?: readonly string[];
  /** Static custom configuration; its file is handed over by --customConfigFile. */
  readonly bootstrap?: object;
  /** Files below the working directory, by relative path. */
  readonly files?: Readonly<Record<string, string>>;
  /** Another copy of the program than this checkout's. */
  readonly program?: string;
}

/** A running `pilotfish proxy` in a working directory of its own. */
export class ProxyRun {
  readonly folder = temporaryFolder("proxy");
  readonly child: ChildProcess;
  readonly exited: Promise<Exit>;
  output = "";
  #exit: Exit | undefined;

  constructor(options: ProxyOptions = {}) {
    for (const [path, text] of Object.entries(options.files ?? {})) this.write(path, text);
    const custom =
      options.bootstrap === undefined
        ? []
        : ["--customConfigFile", this.write("custom.json", JSON.stringify(options.bootstrap))];
    const words = [
      ...(options.prefix ?? []),
      options.program ?? pilotfish,
      "proxy",
      "sidecar",
      ...custom,
      ...(options.args ?? []),
    ];
    const [file = pilotfish, ...rest] = words;
    this.child = spawn(file, rest, {
      cwd: this.folder.path,
      env: environment({ PILOTFISH_ENVOY: envoy, ...options.env }),
      stdio: ["ignore", "pipe", "pipe"],
    });
    for (const stream of [this.child.stdout, this.child.stderr]) {
      stream?.setEncoding("utf8").on("data", (text: string) => {
        this.output += text;
      });
    }
    this.exited = new Promise((resolve) => {
      this.child.once("close", (code, signal) => {
        this.#exit = { code, signal };
        resolve(this.#exit);
      });
    });
  }

  /** Writes a file below the working directory; gives its full path. */
  write(path: string, text: string): string {
    const full = join(this.folder.path, path);
    mkdirSync(join(full, ".."), { recursive: true });
    writeFileSync(full, text);
    return full;
  }

  get pid(): number {
    return this.child.pid ?? -1;
  }

  signal(name: NodeJS.Signals): void {
    this.child.kill(name);
  }

  /** Waits until its output matches; gives the match. A program that has ended meanwhile is a failure with its output. */
  said(what: RegExp, limit?: number): Promise<RegExpExecArray> {
    const look = (): RegExpExecArray | undefined => {
      const found = what.exec(this.output);
      if (found === null && this.#exit !== undefined) throw new Error(`it has ended: ${this.output}`);
      return found ?? undefined;
    };
    return eventually(`output matching ${String(what)}`, look, limit).catch((error: unknown) => {
      throw new Error(`${String(error)}\n${this.output}`, { cause: error });
    });
  }

  /** Process id of the newest Envoy, from the log. */
  async envoyPid(): Promise<number> {
    await this.said(/Envoy started/);
    const found = [...this.output.matchAll(/Envoy started.*pid[=":]+(\d+)/g)].at(-1);
    return Number(found?.[1] ?? -1);
  }

  /** Everything that runs in its working directory: ourselves, Envoy, and whatever they started. */
  processes(): readonly number[] {
    return processesIn(this.folder.path);
  }

  /** Ends it whatever happened; then nothing of it is left. */
  async done(): Promise<void> {
    if (this.#exit === undefined) {
      this.child.kill("SIGKILL");
      // unshare's --kill-child does not reach a child that has changed its user since.
      for (const pid of processesIn(this.folder.path)) process.kill(pid, "SIGKILL");
      await this.exited;
    }
    await eventually("no process is left in its folder", () => processesIn(this.folder.path).length === 0);
    // Only what a proxy that was killed could not take away itself.
    removeSharedMemory(sharedMemoryOf(this.folder.path));
    this.folder.done();
  }
}

/** Processes whose working directory is that folder: ours, Envoy, and whatever they started, in any namespace. */
function processesIn(folder: string): readonly number[] {
  return readdirSync("/proc")
    .map(Number)
    .filter((pid) => {
      try {
        return pid > 0 && readlinkSync(`/proc/${pid}/cwd`).startsWith(folder) && alive(pid);
      } catch {
        return false;
      }
    });
}

/** The test's environment, without what would change what pilotfish does. */
function environment(more: Readonly<Record<string, string | undefined>>): NodeJS.ProcessEnv {
  const { PATH, HOME, LANG, TMPDIR } = process.env;
  return { PATH, HOME, LANG, TMPDIR, INSTANCE_IP: "127.0.0.1", POD_NAME: "pod", POD_NAMESPACE: "ns", ...more };
}

export interface Ports {
  readonly admin: number;
  readonly status: number;
  readonly readiness: number;
  readonly prometheus: number;
  readonly listener: number;
  readonly app: number;
}

export async function drawPorts(): Promise<Ports> {
  const [admin = 0, status = 0, readiness = 0, prometheus = 0, listener = 0, app = 0] = await freePorts(6);
  return { admin, status, readiness, prometheus, listener, app };
}

/** Flags and environment that put every port where the test wants it. */
export function portSettings(ports: Ports): { readonly args: readonly string[]; readonly env: Record<string, string> } {
  return {
    args: ["--proxyAdminPort", String(ports.admin), "--statusPort", String(ports.status), "--concurrency", "1"],
    env: { ENVOY_STATUS_PORT: String(ports.readiness), ENVOY_PROMETHEUS_PORT: String(ports.prometheus) },
  };
}

/** A proxy on a static configuration with all four listeners, in front of an application on ports.app. */
export function staticProxy(ports: Ports, options: ProxyOptions & { readonly static?: StaticOptions } = {}): ProxyRun {
  const { args, env } = portSettings(ports);
  return new ProxyRun({
    ...options,
    args: [...args, ...(options.args ?? [])],
    env: { ...env, ...options.env },
    bootstrap: staticBootstrap({
      adminPort: ports.admin,
      listener: { port: ports.listener, to: ports.app },
      readiness: { port: ports.readiness, statusPort: ports.status },
      prometheus: { port: ports.prometheus },
      ...options.static,
    }),
  });
}
