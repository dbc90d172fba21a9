import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { Agent, request } from "node:https";
import { join } from "node:path";
import type { TLSSocket } from "node:tls";
import { noLog } from "../../src/foundation/log.ts";
import { noIdentityMetrics } from "../../src/identity/identity-metrics.ts";
import { createWorkloadIdentity, type WorkloadIdentity } from "../../src/identity/workload-identity.ts";
import { realClock } from "../../src/system/clock.ts";
import { eventually } from "../helpers/eventually.ts";
import { root, temporaryFolder } from "../helpers/paths.ts";
import { ask, drawPorts, type Ports, type ProxyOptions, ProxyRun, portSettings } from "../helpers/proxy.ts";
import { type World, world } from "../identity/harness.ts";
import { mtlsListener } from "../sds/real-envoy.ts";

/** The built `pilotfish proxy sidecar` with a real Envoy before the embedded control plane. */
export interface Whole {
  readonly world: World;
  readonly ports: Ports;
  readonly resources: string;
  /** Starts the proxy; several may be started one after the other. */
  start(
    env?: Readonly<Record<string, string | undefined>>,
    args?: readonly string[],
    more?: Pick<ProxyOptions, "files" | "program">,
  ): ProxyRun;
  ready(): Promise<{ readonly status: number; readonly body: string }>;
  /** What the newest proxy holds now. */
  held(): Promise<Held>;
  /** Waits until it is ready, has one connection to the control plane, and holds no more than `before`. */
  settled(before: Held): Promise<void>;
  /** Another workload of the mesh: its certificate is the client's. */
  client(): Promise<WorkloadIdentity>;
  done(): Promise<void>;
}

/** What must be the same again when a fault is over: nothing of it may be left. */
export interface Held {
  readonly descriptors: number;
  /** Armed timers of the supervisor. */
  readonly timers: number;
  /** Sockets, watches, children, by Node's name of the kind. */
  readonly handles: Readonly<Record<string, number>>;
  readonly discoveryStreams: number;
  readonly secretStreams: number;
}

export const resourcesOf = (listener: object): string =>
  JSON.stringify({
    resources: [
      {
        "@type": "type.googleapis.com/envoy.config.cluster.v3.Cluster",
        name: "nobody",
        type: "STATIC",
        connect_timeout: "1s",
      },
      { "@type": "type.googleapis.com/envoy.config.listener.v3.Listener", ...listener },
    ],
  });

export async function whole(options: Parameters<typeof world>[0] = {}): Promise<Whole> {
  const ports = await drawPorts();
  const folder = temporaryFolder("resources");
  writeFileSync(join(folder.path, "all.json"), resourcesOf(mtlsListener(ports.listener)));
  const w = await world({
    resources: folder.path,
    descriptors: () => readFileSync(join(root, "dist/envoy-descriptors.json"), "utf8"),
    ...options,
  });
  const ends: (() => Promise<void>)[] = [];
  let newest: ProxyRun | undefined;
  const ready = () => ask({ port: ports.status }, "/healthz/ready").catch(() => ({ status: 0, body: "nobody" }));
  const held = (): Promise<Held> => heldBy(newest?.pid ?? -1, ports.status);
  return {
    world: w,
    ports,
    resources: join(folder.path, "all.json"),
    start(env = {}, args = [], more = {}) {
      const settings = portSettings(ports);
      const run = new ProxyRun({
        ...more,
        args: [
          ...settings.args,
          "--discoveryAddress",
          `127.0.0.1:${w.plane.tlsPort}`,
          "--domain",
          "ns.svc.cluster.local",
          ...args,
        ],
        env: {
          ...settings.env,
          ISTIOD_SAN: "istiod.istio-system.svc",
          SERVICE_ACCOUNT: "server",
          ECC_SIGNATURE_ALGORITHM: "ECDSA",
          ...env,
        },
        files: {
          "var/run/secrets/istio/root-cert.pem": w.plane.rootCertificate(),
          "var/run/secrets/tokens/istio-token": "a-token",
          ...more.files,
        },
      });
      ends.push(() => run.done());
      newest = run;
      return run;
    },
    ready,
    held,
    async settled(before) {
      await eventually("ready again", async () => (await ready()).status === 200, 60_000);
      // One for the discovery stream, none for the CA.
      await eventually("one connection", () => w.plane.status().connections === 1, 60_000);
      let now: Held | undefined;
      await eventually("nothing is left over", async () => {
        now = await held();
        return noMore(now, before);
      }).catch((error: unknown) => {
        throw new Error(`held ${JSON.stringify(before)}, now ${JSON.stringify(now)}`, { cause: error });
      });
    },
    async client() {
      const identity = createWorkloadIdentity({
        config: w.config({ identity: "spiffe://cluster.local/ns/ns/sa/client" }),
        clock: realClock,
        random: Math.random,
        log: noLog,
        metrics: noIdentityMetrics,
      });
      identity.start();
      ends.push(() => identity.stop());
      await eventually("the client's certificate", () => identity.current() !== undefined);
      return identity;
    },
    async done() {
      for (const end of ends.reverse()) await end();
      await w.done();
      folder.done();
    },
  };
}

async function heldBy(pid: number, port: number): Promise<Held> {
  const read = async <T>(path: string): Promise<T> =>
    JSON.parse((await ask({ port }, path, { headers: { accept: "application/json" } })).body) as T;
  const { timers, handles } = await read<Pick<Held, "timers" | "handles">>("/debug/resources");
  const page = await read<{ controlPlane: { streams: number }; certificate: { secretStreams: string } }>("/status");
  return {
    descriptors: readdirSync(`/proc/${pid}/fd`).length,
    timers,
    handles,
    discoveryStreams: page.controlPlane.streams,
    secretStreams: Number.parseInt(page.certificate.secretStreams, 10),
  };
}

/** Each count at most what it was; a kind of handle that was not there may not be there. */
function noMore(now: Held, before: Held): boolean {
  const flat = ({ handles, ...counts }: Held): Readonly<Record<string, number>> => ({ ...handles, ...counts });
  const [is, was] = [flat(now), flat(before)];
  return Object.entries(is).every(([kind, count]) => count <= (was[kind] ?? 0));
}

export interface MtlsAnswer {
  readonly status: number;
  readonly serial: string;
  readonly uri: string;
  /** The server's key: "secp384r1", "RSA 3072". */
  readonly key: string;
  /** Our end of the connection: the same number means the same connection. */
  readonly localPort: number;
}

/** How a client shows its certificate and checks the server's, which carries a SPIFFE URI and no host's name. */
const clientOptions = (client: WorkloadIdentity) => ({
  ca: client.roots(),
  cert: client.current()?.chain,
  key: client.current()?.key.pem(),
  checkServerIdentity: () => undefined,
});

/** One request with the client's certificate; on a fresh connection unless an agent with one of its own is given. */
export function mtls(port: number, client: WorkloadIdentity, agent?: Agent): Promise<MtlsAnswer> {
  return new Promise((resolve, reject) => {
    const sent = request(
      {
        host: "127.0.0.1",
        port,
        timeout: 10_000,
        // Node gives a connection to no second request that brings a check of its own: the agent has it.
        ...(agent === undefined ? { ...clientOptions(client), agent: false } : { agent }),
      },
      (answer) => {
        const socket = answer.socket as TLSSocket;
        const peer = socket.getPeerCertificate();
        const localPort = socket.localPort ?? 0;
        const key = peer.asn1Curve ?? `RSA ${peer.bits}`;
        const [serial, uri] = [peer.serialNumber?.toLowerCase() ?? "", peer.subjectaltname ?? ""];
        answer.resume().once("end", () => resolve({ status: answer.statusCode ?? 0, serial, uri, key, localPort }));
      },
    );
    sent.once("timeout", () => sent.destroy(new Error("no answer in time")));
    sent.once("error", reject);
    sent.end();
  });
}

export interface Load {
  readonly sent: number;
  /** Each in words. */
  readonly failures: readonly string[];
  /** Certificates that the server showed. */
  readonly serials: ReadonlySet<string>;
  /** Requests on a connection that is kept open, and how many connections that took. */
  readonly sentOnKept: number;
  readonly keptConnections: number;
}

/** Two that make a fresh connection for each request, and one that keeps its own, until `enough`. */
export async function load(port: number, client: WorkloadIdentity, enough: () => boolean): Promise<Load> {
  let sent = 0;
  let sentOnKept = 0;
  const keptConnections = new Set<number>();
  const failures: string[] = [];
  const serials = new Set<string>();
  const kept = new Agent({ keepAlive: true, maxSockets: 1, ...clientOptions(client) });
  const worker = async (agent?: Agent): Promise<void> => {
    while (!enough()) {
      sent += 1;
      try {
        const answer = await mtls(port, client, agent);
        if (answer.status !== 200) failures.push(`HTTP ${answer.status}`);
        if (answer.serial !== "") serials.add(answer.serial);
        if (agent === undefined) continue;
        sentOnKept += 1;
        keptConnections.add(answer.localPort);
      } catch (error) {
        failures.push(String(error));
      }
    }
  };
  await Promise.all([worker(), worker(), worker(kept)]);
  kept.destroy();
  return { sent, failures, serials, sentOnKept, keptConnections: keptConnections.size };
}
