import { type App, startApp } from "../app.ts";
import { eventually } from "../eventually.ts";
import { freePorts } from "../free-ports.ts";
import { Load, type LoadEntry, type LoadFailure, type LoadReport } from "../load/load.ts";
import { ask, drawPorts, type Ports, type ProxyOptions, ProxyRun, portSettings } from "../proxy.ts";
import { rigBootstrap } from "./bootstrap.ts";
import { type Echo, startEcho } from "./echo.ts";
import { PARENT_SHUTDOWN, Restarts, shortTimers } from "./restarts.ts";

export interface RigPorts extends Ports {
  /** Envoy's listener before the echo. */
  readonly tcp: number;
  readonly echo: number;
}

export interface RigOptions extends Omit<ProxyOptions, "bootstrap"> {
  /** Another configuration than rigBootstrap's. */
  readonly bootstrap?: (ports: RigPorts) => object;
}

/**
 * A proxy on a static configuration with short timers, an application and an echo behind it, and load before it.
 * `start` in the test, `done` in afterEach.
 */
export class RestartRig extends Restarts {
  readonly ports: RigPorts;
  readonly app: App;
  readonly #echo: Echo;
  #loads: Load[] = [];

  private constructor(proxy: ProxyRun, ports: RigPorts, app: App, echo: Echo) {
    super(proxy);
    [this.ports, this.app, this.#echo] = [ports, app, echo];
  }

  /** Resolves when it is ready. `as`: called at once, so that afterEach can end it. */
  static async start(options: RigOptions = {}, as: (rig: RestartRig) => void = () => undefined): Promise<RestartRig> {
    const [tcp = 0] = await freePorts(1);
    const echo = await startEcho();
    const ports = { ...(await drawPorts()), tcp, echo: echo.port };
    const app = await startApp(ports.app);
    const { args, env } = portSettings(ports);
    const proxy = new ProxyRun({
      ...options,
      args: [...args, ...shortTimers, ...(options.args ?? [])],
      env: { ...env, ...options.env },
      bootstrap: (options.bootstrap ?? rigBootstrap)(ports),
    });
    const rig = new RestartRig(proxy, ports, app, echo);
    as(rig);
    await rig.untilReady();
    return rig;
  }

  /** Waits until the listen sockets of all listeners are kept, then remembers what else is held, for `ends`. */
  override keeps(...some: readonly number[]): Promise<void> {
    const { listener, tcp, readiness, prometheus } = this.ports;
    const all = [listener, tcp, readiness, prometheus];
    return super.keeps(...(some.length > 0 ? some : all));
  }

  async untilReady(): Promise<void> {
    const ready = async () => (await ask({ port: this.ports.readiness }, "/healthz/ready")).status === 200;
    await eventually("ready", ready).catch((error: unknown) => {
      throw new Error(`${String(error)}\n${this.proxy.output}`, { cause: error });
    });
  }

  /** A little of every kind of load on the two listeners. */
  entries(pause = 10): readonly LoadEntry[] {
    const { listener: port, tcp } = this.ports;
    return [
      { kind: "keep-alive", port, clients: 2, pause },
      { kind: "new-connection", port, clients: 2, pause },
      { kind: "http2", port, clients: 1, pause },
      { kind: "tcp", port: tcp, clients: 1, pause },
    ];
  }

  /** Load from a process of its own; resolves when requests of every kind are answered. */
  async load(entries: readonly LoadEntry[] = this.entries()): Promise<Load> {
    const load = await Load.start(entries);
    this.#loads.push(load);
    await eventually("every kind of load goes well", async () =>
      Object.values((await load.tally()).tally.entries).every(({ ok }) => ok > 5),
    );
    return load;
  }

  override async done(): Promise<void> {
    for (const load of this.#loads.splice(0)) await load.done();
    await super.done();
    await this.app.close();
    await this.#echo.close();
  }
}

/** Failures but those of TCP connections that were older than an old Envoy may become. */
export function avoidable(report: LoadReport, parentShutdown = PARENT_SHUTDOWN): readonly LoadFailure[] {
  return report
    .failures()
    .filter(({ entry, connectionAge }) => !(entry.startsWith("tcp") && (connectionAge ?? 0) >= parentShutdown));
}
