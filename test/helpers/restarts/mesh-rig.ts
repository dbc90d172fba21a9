import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Whole, whole } from "../../control-plane/whole.ts";
import { mtlsListener } from "../../sds/real-envoy.ts";
import { eventually } from "../eventually.ts";
import { freePorts } from "../free-ports.ts";
import { Load, type LoadEntry } from "../load/load.ts";
import { answeringListener, tcpListener } from "./bootstrap.ts";
import { type Echo, startEcho } from "./echo.ts";
import { Restarts, shortTimers } from "./restarts.ts";

const typed = (kind: "listener" | "cluster", name: string, resource: object): object => ({
  "@type": `type.googleapis.com/envoy.config.${kind}.v3.${name}`,
  ...resource,
});

export interface MeshOptions {
  readonly args?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

/**
 * A proxy that has everything from the embedded control plane: listeners by ADS, its certificate from the CA by SDS.
 * Three listeners stay: mTLS, plain HTTP, and TCP before an echo. `give` says which others there are.
 */
export class MeshRig extends Restarts {
  readonly whole: Whole;
  readonly plain: number;
  readonly tcp: number;
  readonly #echo: Echo;
  #loads: Load[] = [];

  private constructor(
    w: Whole,
    { args = [], env = {} }: MeshOptions,
    [plain, tcp]: readonly [number, number],
    echo: Echo,
  ) {
    super(w.start({ ...env }, [...shortTimers, ...args]));
    [this.whole, this.plain, this.tcp, this.#echo] = [w, plain, tcp, echo];
    this.give([]);
  }

  static async start(options: MeshOptions = {}, as: (rig: MeshRig) => void = () => undefined): Promise<MeshRig> {
    const [plain = 0, tcp = 0] = await freePorts(2);
    const rig = new MeshRig(await whole(), options, [plain, tcp], await startEcho());
    as(rig);
    await eventually("ready", async () => (await rig.whole.ready()).status === 200);
    return rig;
  }

  /** Waits until the listen sockets of what stays are kept, then remembers what else is held, for `ends`. */
  override keeps(...some: readonly number[]): Promise<void> {
    const all = [this.plain, this.tcp, this.whole.ports.listener];
    return super.keeps(...(some.length > 0 ? some : all));
  }

  /** What the control plane serves from now on: the listeners that stay, and these. */
  give(others: readonly object[]): void {
    const [tcp, cluster] = tcpListener("echo", this.tcp, this.#echo.port);
    const stays = [mtlsListener(this.whole.ports.listener), answeringListener("plain", this.plain), tcp];
    const listeners = [...stays, ...others].map((one) => typed("listener", "Listener", one));
    const resources = [typed("cluster", "Cluster", cluster), ...listeners];
    writeFileSync(this.whole.resources, JSON.stringify({ resources }));
  }

  /** Load on the listeners that stay. */
  async load(pause = 10): Promise<Load> {
    const tls = await this.#clientFiles();
    const { listener: port } = this.whole.ports;
    const entries: readonly LoadEntry[] = [
      { name: "mtls", kind: "keep-alive", port, tls, clients: 1, pause },
      { name: "mtls-new", kind: "new-connection", port, tls, clients: 1, pause },
      { kind: "keep-alive", port: this.plain, clients: 1, pause },
      { kind: "new-connection", port: this.plain, clients: 1, pause },
      { kind: "http2", port: this.plain, clients: 1, pause },
      { kind: "tcp", port: this.tcp, clients: 1, pause },
    ];
    const load = await Load.start(entries);
    this.#loads.push(load);
    await eventually("every kind of load goes well", async () =>
      Object.values((await load.tally()).tally.entries).every(({ ok }) => ok > 5),
    );
    return load;
  }

  async #clientFiles() {
    const client = await this.whole.client();
    const { folder } = this.whole.world;
    const file = (name: string, text: string): string => {
      writeFileSync(join(folder, name), text);
      return join(folder, name);
    };
    return {
      ca: file("client-roots.pem", [client.roots()].flat().join("\n")),
      certificate: file("client.pem", [client.current()?.chain ?? []].flat().join("\n")),
      key: file("client.key", String(client.current()?.key.pem())),
      serverName: "server",
      anyName: true,
    };
  }

  override async done(): Promise<void> {
    for (const load of this.#loads.splice(0)) await load.done();
    await super.done();
    await this.whole.done();
    await this.#echo.close();
  }
}
