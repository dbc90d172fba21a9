import { type App, startApp } from "./app.ts";
import { eventually } from "./eventually.ts";
import { HeldEnvoy } from "./held-envoy.ts";
import { type Answer, ask, drawPorts, type Ports, type ProxyOptions, type ProxyRun, staticProxy } from "./proxy.ts";

/** A `pilotfish proxy` whose Envoy can be held, before an application whose answers wait until they are released. */
export class Scene {
  readonly envoy = new HeldEnvoy();
  readonly ports: Ports;
  readonly app: App;
  readonly proxy: ProxyRun;
  /** What became of the requests that were sent. */
  readonly answers: Promise<Answer | Error>[] = [];

  private constructor(ports: Ports, app: App, options: ProxyOptions) {
    this.ports = ports;
    this.app = app;
    this.proxy = staticProxy(ports, {
      ...options,
      args: ["--min-drain", "0s", "--probation", "60s", ...(options.args ?? [])],
      env: { PILOTFISH_ENVOY: this.envoy.program, ...options.env },
    });
  }

  /** `before`: what is held from the first start on. */
  static async start(options: ProxyOptions = {}, before: (envoy: HeldEnvoy) => void = () => undefined): Promise<Scene> {
    const ports = await drawPorts();
    const app = await startApp(ports.app);
    const scene = new Scene(ports, app, options);
    before(scene.envoy);
    return scene;
  }

  async done(): Promise<void> {
    await this.proxy.done();
    await this.app.close();
    this.envoy.done();
  }

  async ready(): Promise<void> {
    await eventually("ready", async () => (await this.readiness()).status === 200);
  }

  readiness(): Promise<Answer> {
    return ask({ port: this.ports.status }, "/healthz/ready");
  }

  post(path: string): Promise<Answer> {
    return ask({ port: this.ports.status }, path, { method: "POST" });
  }

  /** One more request in flight, on whichever Envoy the kernel gives it to. */
  async request(): Promise<void> {
    const before = this.app.held();
    this.answers.push(
      ask({ port: this.ports.listener }, "/hold", { timeout: 60_000 }).catch((error: unknown) => error as Error),
    );
    await eventually("the request is in flight", () => this.app.held() > before);
  }

  /** Lets the application answer; gives what the callers got. */
  async outcomes(): Promise<readonly (number | string)[]> {
    this.app.release();
    const all = await Promise.all(this.answers);
    return all.map((one) => (one instanceof Error ? one.message : one.status));
  }

  /** The machine's own state, as SIGQUIT writes it to the log. */
  async phase(): Promise<string> {
    const from = this.proxy.output.length;
    this.proxy.signal("SIGQUIT");
    return eventually("the state in the log", () => {
      const found = /\bState\s.*?"phase":"(\w+)"/.exec(this.proxy.output.slice(from));
      return found?.[1];
    });
  }

  /** Resolves when the machine is there. */
  in(phase: string): Promise<true> {
    return eventually(`the state ${phase}`, async () => (await this.phase()) === phase || undefined);
  }
}

/** How each state of the machine (src/process/lifecycle.ts) is reached and held. `inFlight`: requests are under way. */
export interface Reached {
  readonly inFlight: boolean;
  readonly reach: (scene: Scene) => Promise<void>;
  readonly before?: (envoy: HeldEnvoy) => void;
  readonly args?: readonly string[];
  /** It cannot be held for longer than a moment. */
  readonly short?: boolean;
}

async function serving(scene: Scene): Promise<void> {
  await scene.ready();
  await scene.request();
}

async function restarting(scene: Scene): Promise<void> {
  await serving(scene);
  scene.proxy.signal("SIGHUP");
}

async function swapping(scene: Scene): Promise<void> {
  await serving(scene);
  await scene.post("/hot-restart?strategy=swap");
}

/** So many that both Envoys on the port have some. */
async function onBoth(scene: Scene): Promise<void> {
  for (let count = 0; count < 12; count += 1) await scene.request();
}

export const states: Readonly<Record<string, Reached>> = {
  starting: {
    inFlight: false,
    before: (envoy) => envoy.hold(1),
    reach: async (scene) => {
      await scene.envoy.held(1);
      await scene.in("starting");
    },
  },
  "starting over kept sockets": {
    inFlight: false,
    reach: async (scene) => {
      await scene.ready();
      await eventually("sockets are kept", async () => {
        const page = await ask({ port: scene.ports.status }, "/stats/prometheus");
        return /^pilotfish_kept_sockets [1-9]/m.test(page.body);
      });
      scene.envoy.hold(2);
      process.kill(await scene.proxy.envoyPid(), "SIGKILL");
      await scene.envoy.held(2);
      await scene.in("starting");
    },
  },
  waiting: {
    inFlight: false,
    reach: async (scene) => {
      await scene.ready();
      scene.envoy.crash("all");
      process.kill(await scene.proxy.envoyPid(), "SIGKILL");
      await scene.proxy.said(/started again after a while.*afterMs=(1[0-9]{3}|[6-9][0-9]{2})\b/);
    },
    short: true,
  },
  live: { inFlight: true, reach: serving },
  checking: {
    inFlight: true,
    before: (envoy) => envoy.hold("validate"),
    reach: async (scene) => {
      await restarting(scene);
      await scene.envoy.held("validate");
      await scene.in("checking");
    },
  },
  initializing: {
    inFlight: true,
    before: (envoy) => envoy.hold(2),
    reach: async (scene) => {
      await restarting(scene);
      await scene.envoy.held(2);
      await scene.in("initializing");
    },
  },
  mending: {
    inFlight: true,
    before: (envoy) => envoy.crash(2),
    reach: async (scene) => {
      await restarting(scene);
      await scene.proxy.said(/The old Envoy serves on/);
    },
    short: true,
  },
  "live, to be tried again": {
    inFlight: true,
    before: (envoy) => envoy.crash(2),
    reach: async (scene) => {
      await restarting(scene);
      await scene.proxy.said(/The restart is tried again after a while/);
    },
    short: true,
  },
  overlap: {
    inFlight: true,
    reach: async (scene) => {
      await restarting(scene);
      await scene.in("overlap");
      await scene.request();
    },
  },
  "trial, starting": {
    inFlight: true,
    before: (envoy) => envoy.hold(2),
    reach: async (scene) => {
      await swapping(scene);
      await scene.envoy.held(2);
      await scene.in("trial");
    },
  },
  "trial, on probation": {
    inFlight: true,
    reach: async (scene) => {
      await swapping(scene);
      await scene.proxy.said(/The new Envoy is on probation/);
      await onBoth(scene);
      await scene.in("trial");
    },
  },
  yielding: {
    inFlight: true,
    args: ["--probation", "1s"],
    reach: async (scene) => {
      await swapping(scene);
      await scene.in("yielding");
      await scene.request();
    },
  },
  draining: {
    inFlight: true,
    reach: async (scene) => {
      await serving(scene);
      await scene.post("/drain");
      await scene.in("draining");
    },
  },
};
