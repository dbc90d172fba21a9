import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { ControlPlaneConfig, Upstream } from "../../src/config/control-plane-config.ts";
import {
  type ControlPlane,
  type ControlPlaneOptions,
  startControlPlane,
} from "../../src/control-plane/control-plane.ts";
import { noLog } from "../../src/foundation/log.ts";
import { realClock } from "../../src/system/clock.ts";
import { temporaryFolder } from "../helpers/paths.ts";

/** An embedded control plane and the files of a workload that reaches it, in a folder of the test's own. */
export interface World {
  readonly folder: string;
  readonly plane: ControlPlane;
  /** A configuration as the agent would derive it, with paths in the folder. */
  config(changes?: Partial<ControlPlaneConfig>): ControlPlaneConfig;
  path(name: string): string;
  writeToken(text: string): void;
  writeRoot(pem: string): void;
  done(): Promise<void>;
}

const DAY = 86_400_000;
export const identity = "spiffe://cluster.local/ns/default/sa/sleep";

export async function world(options: Partial<ControlPlaneOptions> = {}): Promise<World> {
  const { path: folder, done } = temporaryFolder("control-plane");
  const path = (name: string): string => join(folder, name);
  const plane = await startControlPlane({
    directory: path("ca"),
    host: "127.0.0.1",
    tlsPort: 0,
    plainPort: 0,
    serverNames: ["istiod.istio-system.svc", "localhost", "127.0.0.1"],
    maxLifetime: DAY,
    clock: realClock,
    log: noLog,
    ...options,
  });
  mkdirSync(path("run"), { recursive: true });
  const writeToken = (text: string): void => writeFileSync(path("run/token"), text);
  const writeRoot = (pem: string): void => writeFileSync(path("run/root-cert.pem"), pem);
  writeToken("a-token");
  writeRoot(plane.rootCertificate());
  const upstream: Upstream = {
    host: "127.0.0.1",
    port: plane.tlsPort ?? 0,
    tls: true,
    serverName: "istiod.istio-system.svc",
    roots: [path("run/root-cert.pem")],
    clientCertificate: undefined,
    headers: [],
  };
  return {
    folder,
    plane,
    path,
    writeToken,
    writeRoot,
    config: (changes = {}) => ({
      ca: upstream,
      xds: upstream,
      certSigner: undefined,
      clusterId: "Kubernetes",
      tokenPath: path("run/token"),
      identity,
      source: { kind: "ca", files: [] },
      certificate: {
        lifetime: DAY,
        graceRatio: 0.5,
        graceJitter: 0.01,
        key: { type: "ecdsa", curve: "P256" },
        pkcs8: true,
      },
      outputDirectory: undefined,
      outputMode: 0o600,
      crlPath: undefined,
      extraRoots: [],
      fileDebounce: 20,
      sds: { socket: path("sds/socket"), filesSocket: path("files-sds/socket"), uids: [] },
      xdsSocket: path("proxy/XDS"),
      keepalive: { interval: 30_000, timeout: 10_000 },
      trustBundleOverXds: false,
      ...changes,
    }),
    done: async () => {
      await plane.close();
      done();
    },
  };
}

/** A token in the form of a JWT that ends `seconds` from now. */
export function jwt(seconds: number, subject = "system:serviceaccount:default:sleep"): string {
  const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString("base64url");
  return `${part({ alg: "none" })}.${part({ sub: subject, exp: Math.floor(Date.now() / 1_000) + seconds })}.x`;
}
