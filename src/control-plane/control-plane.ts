import type { Duplex } from "node:stream";
import type { Log } from "../foundation/log.ts";
import type { Clock, Millis } from "../foundation/time.ts";
import { createGrpcServer, type MessageCall } from "../protocol/grpc-server.ts";
import { paths } from "../protocol/names.ts";
import { ensureDirectory, readText, writeWhole } from "../system/files.ts";
import { clientCertificate, listenTcp, type ServedTls, type TcpListener } from "../system/tls.ts";
import { type AdsServiceDeps, deltaAds, sotwAds } from "./ads-service.ts";
import { caService } from "./ca-service.ts";
import { type Authority, issuePair, makeAuthority } from "./certificate-authority.ts";
import type { Faults } from "./faults.ts";
import { messageTypes } from "./json-to-proto.ts";
import { watchResources } from "./resource-files.ts";
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
  const { clock, log } = options;
  let authority = loadAuthority(options.directory, clock.wall());
  let next: Authority | undefined;
  let roots = authority.root.certificate;
  let faults: Faults = {};
  let issued = 0;
  const nacks: { typeUrl: string; text: string }[] = [];
  const listeners = new Set<() => void>();
  let resources: ResourceSet = new Map();
  const publish = (set: ResourceSet): void => {
    resources = set;
    for (const hear of listeners) hear();
  };
  const files =
    options.resources === undefined
      ? undefined
      : watchResources({
          folder: options.resources,
          types: messageTypes(JSON.parse(options.descriptors?.() ?? "{}")),
          clock,
          log,
          onChange: publish,
        });

  const admits = tokenCheck(options.tokenFile);
  const ads: AdsServiceDeps = {
    current: () => resources,
    onChange: (hear) => {
      listeners.add(hear);
      return () => listeners.delete(hear);
    },
    admits: (call) => hasClientCertificate(call) || admits(tokenOf(call)),
    faults: () => faults,
    clock,
    onNack: (typeUrl, text) => {
      nacks.push({ typeUrl, text });
      log.warn("a proxy refused a configuration", { typeUrl, text });
    },
  };
  const handlers = new Map([
    [paths.streamAggregated as string, sotwAds(ads)],
    [paths.deltaAggregated, deltaAds(ads)],
    [
      paths.createCertificate,
      caService({
        authority: () => authority,
        roots: () => roots,
        admits,
        maxLifetime: options.maxLifetime,
        faults: () => faults,
        clock,
        log,
        onIssued: (uri) => {
          issued += 1;
          log.info("issued a certificate", { uri });
        },
      }),
    ],
  ]);
  const server = createGrpcServer({
    route: (path) => handlers.get(path),
    onBug: (error) => log.error("internal error", { error }),
  });

  const serve = (socket: Duplex): void => server.accept(socket);
  const served = (): ServedTls => servedTls(authority, roots, options, clock.wall());
  const tls = await listenOn(options.host, options.tlsPort, served(), serve);
  const plain = await listenOn(options.host, options.plainPort, undefined, serve).catch(async (error: unknown) => {
    await tls?.close();
    throw error;
  });
  return {
    tlsPort: tls?.port,
    plainPort: plain?.port,
    rootCertificate: () => roots,
    setFaults: (next) => {
      faults = next;
    },
    setResources: (list) => publish(resourceSet(list)),
    announceNextRoot: () => {
      next = makeAuthority(clock.wall(), ` ${issued}`);
      roots = authority.root.certificate + next.root.certificate;
    },
    replaceAuthority: () => {
      const announced = next !== undefined;
      const former = authority.root.certificate;
      authority = next ?? makeAuthority(clock.wall(), ` ${issued}`);
      next = undefined;
      roots = authority.root.certificate + (announced ? former : "");
      tls?.renew(served());
    },
    forgetFormerRoots: () => {
      roots = authority.root.certificate;
    },
    status: () => ({
      connections: server.connections,
      calls: server.calls,
      issued,
      nacks,
      problems: files?.problems() ?? [],
    }),
    disconnectAll: () => server.close(),
    close: async () => {
      files?.close();
      const ends = [tls?.close(), plain?.close()];
      server.close();
      await Promise.all(ends.map(async (one) => one));
    },
  };
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
