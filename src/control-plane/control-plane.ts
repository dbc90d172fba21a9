import type { Duplex } from "node:stream";
import type { Log } from "../foundation/log.ts";
import type { Clock, Millis } from "../foundation/time.ts";
import { createGrpcServer, type GrpcServer, type MessageCall, type RawCall } from "../protocol/grpc-server.ts";
import { paths } from "../protocol/names.ts";
import { ensureDirectory, readText, writeWhole } from "../system/files.ts";
import { clientCertificate, listenTcp, type ServedTls, type TcpListener } from "../system/tls.ts";
import { type AdsServiceDeps, deltaAds, sotwAds } from "./ads-service.ts";
import { type CaServiceDeps, caService } from "./ca-service.ts";
import { type Authority, issuePair, makeAuthority } from "./certificate-authority.ts";
import type { Faults } from "./faults.ts";
import { messageTypes } from "./json-to-proto.ts";
import { type WatchedResources, watchResources } from "./resource-files.ts";
import { type ResourceSet, resourceSet } from "./resource-set.ts";

export interface ControlPlaneOptions {
  /** Where the CA's material is kept: made at the first start, mode 0700. */
  readonly directory: string;
  readonly host: string;
  /** 0: any free port; undefined: off. */
  readonly tlsPort: number | undefined;
  readonly plainPort: number | undefined;
  /** Names in the server's certificate. */
  readonly serverNames: readonly string[];
  /** Folder of YAML and JSON resources; needs `descriptors`. */
  readonly resources?: string;
  /** Text of dist/envoy-descriptors.json, read when `resources` is given. */
  readonly descriptors?: () => string;
  /** File with the one token that is accepted; undefined accepts any token, even none. */
  readonly tokenFile?: string;
  readonly maxLifetime: Millis;
  readonly clock: Clock;
  readonly log: Log;
}

/** A small, real control plane: a CA and ADS, for development, tests and the demo. */
export interface ControlPlane {
  readonly tlsPort: number | undefined;
  readonly plainPort: number | undefined;
  /** PEM, as workloads find it in ./var/run/secrets/istio/root-cert.pem; two while the root is being changed. */
  rootCertificate(): string;
  /** Misbehave from now on. */
  setFaults(faults: Faults): void;
  /** Replaces all resources (tests); those of a folder come back at its next change. */
  setResources(resources: Parameters<typeof resourceSet>[0]): void;
  /** The next root is made and announced beside the one that signs: the first step of a change without failures. */
  announceNextRoot(): void;
  /** The announced root, or a new one, signs from now on; the server's own certificate follows. */
  replaceAuthority(): void;
  /** Only the root that signs is announced: the last step. */
  forgetFormerRoots(): void;
  status(): ControlPlaneStatus;
  /** Ends all connections but keeps listening. */
  disconnectAll(): void;
  close(): Promise<void>;
}

export interface ControlPlaneStatus {
  readonly connections: number;
  readonly calls: number;
  readonly issued: number;
  readonly nacks: readonly { readonly typeUrl: string; readonly text: string }[];
  readonly problems: readonly string[];
}

const DAY = 86_400_000;

/** Starts listening; rejects with Unavailable when a port is taken. */
export async function startControlPlane(options: ControlPlaneOptions): Promise<ControlPlane> {
  const plane = new EmbeddedControlPlane(options);
  await plane.listen();
  return plane;
}

class EmbeddedControlPlane implements ControlPlane {
  readonly #options: ControlPlaneOptions;
  readonly #admits: (token: string | undefined) => boolean;
  readonly #listeners = new Set<() => void>();
  readonly #nacks: { readonly typeUrl: string; readonly text: string }[] = [];
  readonly #server: GrpcServer;
  #authority: Authority;
  #next: Authority | undefined;
  #roots: string;
  #faults: Faults = {};
  #issued = 0;
  #resources: ResourceSet = new Map();
  #files: WatchedResources | undefined;
  #tls: TcpListener | undefined;
  #plain: TcpListener | undefined;

  constructor(options: ControlPlaneOptions) {
    this.#options = options;
    this.#admits = tokenCheck(options.tokenFile);
    this.#authority = loadAuthority(options.directory, options.clock.wall());
    this.#roots = this.#authority.root.certificate;
    const handlers = this.#handlers();
    this.#server = createGrpcServer({
      route: (path) => handlers.get(path),
      onBug: (error) => options.log.error("internal error", { error }),
    });
  }

  async listen(): Promise<void> {
    const { host, tlsPort, plainPort, resources, descriptors, clock, log } = this.#options;
    if (resources !== undefined) {
      const types = messageTypes(JSON.parse(descriptors?.() ?? "{}"));
      const onChange = (set: ResourceSet): void => this.#publish(set);
      this.#files = watchResources({ folder: resources, types, clock, log, onChange });
    }
    const serve = (socket: Duplex): void => this.#server.accept(socket);
    try {
      this.#tls = await listenOn(host, tlsPort, this.#served(), serve);
      this.#plain = await listenOn(host, plainPort, undefined, serve);
    } catch (error) {
      await this.close();
      throw error;
    }
  }

  get tlsPort(): number | undefined {
    return this.#tls?.port;
  }

  get plainPort(): number | undefined {
    return this.#plain?.port;
  }

  rootCertificate(): string {
    return this.#roots;
  }

  setFaults(faults: Faults): void {
    this.#faults = faults;
  }

  setResources(resources: Parameters<typeof resourceSet>[0]): void {
    this.#publish(resourceSet(resources));
  }

  announceNextRoot(): void {
    this.#next = makeAuthority(this.#options.clock.wall(), ` ${this.#issued}`);
    this.#roots = this.#authority.root.certificate + this.#next.root.certificate;
  }

  replaceAuthority(): void {
    const former = this.#next === undefined ? "" : this.#authority.root.certificate;
    this.#authority = this.#next ?? makeAuthority(this.#options.clock.wall(), ` ${this.#issued}`);
    this.#next = undefined;
    this.#roots = this.#authority.root.certificate + former;
    this.#tls?.renew(this.#served());
  }

  forgetFormerRoots(): void {
    this.#roots = this.#authority.root.certificate;
  }

  status(): ControlPlaneStatus {
    return {
      connections: this.#server.connections,
      calls: this.#server.calls,
      issued: this.#issued,
      nacks: this.#nacks,
      problems: this.#files?.problems() ?? [],
    };
  }

  disconnectAll(): void {
    this.#server.close();
  }

  async close(): Promise<void> {
    this.#files?.close();
    // The listeners wait for their connections: those end first.
    const ends = [this.#tls?.close(), this.#plain?.close()];
    this.#server.close();
    await Promise.all(ends.map(async (one) => one));
  }

  #publish(set: ResourceSet): void {
    this.#resources = set;
    for (const hear of this.#listeners) hear();
  }

  #served(): ServedTls {
    return servedTls(this.#authority, this.#roots, this.#options, this.#options.clock.wall());
  }

  #handlers(): ReadonlyMap<string, (call: RawCall) => void> {
    const ads = this.#adsDeps();
    return new Map<string, (call: RawCall) => void>([
      [paths.streamAggregated, sotwAds(ads)],
      [paths.deltaAggregated, deltaAds(ads)],
      [paths.createCertificate, caService(this.#caDeps())],
    ]);
  }

  #adsDeps(): AdsServiceDeps {
    const { clock, log } = this.#options;
    return {
      current: () => this.#resources,
      onChange: (hear) => {
        this.#listeners.add(hear);
        return () => this.#listeners.delete(hear);
      },
      admits: (call) => hasClientCertificate(call) || this.#admits(tokenOf(call)),
      faults: () => this.#faults,
      clock,
      onNack: (typeUrl, text) => {
        this.#nacks.push({ typeUrl, text });
        log.warn("a proxy refused a configuration", { typeUrl, text });
      },
    };
  }

  #caDeps(): CaServiceDeps {
    const { clock, log, maxLifetime } = this.#options;
    return {
      authority: () => this.#authority,
      roots: () => this.#roots,
      admits: this.#admits,
      faults: () => this.#faults,
      ...{ clock, log, maxLifetime },
      onIssued: (uri) => {
        this.#issued += 1;
        log.info("issued a certificate", { uri });
      },
    };
  }
}

function listenOn(
  host: string,
  port: number | undefined,
  tls: ServedTls | undefined,
  serve: (socket: Duplex) => void,
): Promise<TcpListener | undefined> {
  if (port === undefined) return Promise.resolve(undefined);
  return listenTcp({ host, port, ...(tls ? { tls } : {}) }, serve);
}

const tokenOf = (call: MessageCall): string | undefined =>
  /^Bearer (.+)$/.exec(String(call.headers["authorization"] ?? ""))?.[1];

const hasClientCertificate = (call: MessageCall): boolean =>
  clientCertificate(call.socket as Parameters<typeof clientCertificate>[0]) !== undefined;

/** The file is read at each call: it may be replaced while we run. */
const tokenCheck = (file: string | undefined) => (token: string | undefined) =>
  file === undefined || (token !== undefined && token === readText(file)?.trim());

function servedTls(authority: Authority, roots: string, options: ControlPlaneOptions, now: Date): ServedTls {
  const isAddress = (name: string): boolean => /^[\d.]+$/.test(name);
  const pair = issuePair(
    authority,
    { dns: options.serverNames.filter((name) => !isAddress(name)), ips: options.serverNames.filter(isAddress) },
    { from: new Date(now.getTime() - 60_000), to: new Date(now.getTime() + 90 * DAY) },
  );
  return { ...pair, clientRoots: roots };
}

/** Reads the CA's material, or makes it. All of it or none: a half-written folder is made anew. */
function loadAuthority(directory: string, now: Date): Authority {
  ensureDirectory(directory, 0o700);
  const names = ["root-cert.pem", "root-key.pem", "ca-cert.pem", "ca-key.pem"] as const;
  const [root, rootKey, intermediate, key] = names.map((name) => readText(`${directory}/${name}`));
  if (root !== undefined && rootKey !== undefined && intermediate !== undefined && key !== undefined)
    return { root: { certificate: root, key: rootKey }, intermediate: { certificate: intermediate, key } };
  const made = makeAuthority(now);
  writeWhole(`${directory}/root-key.pem`, made.root.key, 0o600);
  writeWhole(`${directory}/ca-key.pem`, made.intermediate.key, 0o600);
  writeWhole(`${directory}/ca-cert.pem`, made.intermediate.certificate, 0o644);
  writeWhole(`${directory}/root-cert.pem`, made.root.certificate, 0o644);
  return made;
}
