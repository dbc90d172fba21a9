import type { Log } from "../foundation/log.ts";
import type { Clock } from "../foundation/time.ts";
import type { GrpcServer } from "../protocol/grpc-server.ts";
import { createGrpcServer, type MessageCall, type MessageHandler, messages } from "../protocol/grpc-server.ts";
import { grpcStatus } from "../protocol/grpc-status.ts";
import {
  type DeltaDiscoveryRequest,
  type DiscoveryRequest,
  deltaDiscoveryRequest,
  deltaDiscoveryResponse,
  discoveryRequest,
  discoveryResponse,
} from "../protocol/messages.ts";
import { paths, typeUrls } from "../protocol/names.ts";
import type { SdsMetrics } from "./sds-metrics.ts";
import type { SecretStore, StoredSecret } from "./secret-store.ts";

/** A NACK as Envoy wrote it. */
export interface SecretNack {
  readonly names: readonly string[];
  readonly version: string;
  readonly text: string;
}

export interface SdsServiceDeps {
  readonly store: SecretStore;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: SdsMetrics;
  readonly onPush: () => void;
  readonly onAck: (names: readonly string[], version: string) => void;
  readonly onNack: (nack: SecretNack) => void;
  readonly onBug: (error: unknown) => void;
}

interface ServiceState extends SdsServiceDeps {
  /** Of every open stream: send again what Envoy refused. */
  readonly streams: Set<() => void>;
}

const LARGEST_REQUEST = 4 * 1024 * 1024;
const typeUrl = typeUrls.secret;

/** The three calls of envoy.service.secret.v3.SecretDiscoveryService. */
export function createSdsService(given: SdsServiceDeps): GrpcServer {
  const streams = new Set<() => void>();
  const deps: ServiceState = { ...given, streams };
  const handlers = new Map([
    [paths.streamSecrets as string, messages(LARGEST_REQUEST, (call) => streamSecrets(deps, call))],
    [paths.deltaSecrets, messages(LARGEST_REQUEST, (call) => deltaSecrets(deps, call))],
    [paths.fetchSecrets, messages(LARGEST_REQUEST, (call) => fetchSecrets(deps, call))],
  ]);
  return createGrpcServer({ route: (path) => handlers.get(path), onBug: deps.onBug });
}

/** What one stream subscribed to; names are held in the store as long as the stream wants them. */
class Subscription {
  readonly #store: SecretStore;
  readonly #names = new Set<string>();
  /** Version that was sent last, by name. */
  readonly sent = new Map<string, string>();

  constructor(store: SecretStore) {
    this.#store = store;
  }

  get names(): readonly string[] {
    return [...this.#names];
  }

  has(name: string): boolean {
    return this.#names.has(name);
  }

  add(name: string): void {
    if (this.#names.has(name)) return;
    this.#names.add(name);
    this.#store.hold(name);
  }

  remove(name: string): void {
    if (!this.#names.delete(name)) return;
    this.sent.delete(name);
    this.#store.release(name);
  }

  /** Secrets that are there and of which the stream has another version or none. */
  fresh(): readonly StoredSecret[] {
    return this.#known().filter(({ name, version }) => this.sent.get(name) !== version);
  }

  /** All that are there. */
  #known(): readonly StoredSecret[] {
    return this.names.flatMap((name) => this.#store.get(name) ?? []);
  }

  markSent(secrets: readonly StoredSecret[]): void {
    for (const { name, version } of secrets) this.sent.set(name, version);
  }

  close(): void {
    for (const name of this.names) this.remove(name);
  }
}

/** What both kinds of stream share: push what is fresh, follow changes, understand ACK and NACK. */
function openStream(
  deps: ServiceState,
  call: MessageCall,
  encode: (secrets: readonly StoredSecret[], nonce: string) => Buffer,
) {
  const subscription = new Subscription(deps.store);
  const taken = new Map<string, string>();
  let sentCount = 0;
  let last: { readonly nonce: string; readonly secrets: readonly StoredSecret[] } | undefined;
  const push = (): void => {
    const fresh = subscription.fresh();
    if (fresh.length === 0 || call.closed) return;
    sentCount += 1;
    last = { nonce: String(sentCount), secrets: fresh };
    subscription.markSent(fresh);
    const started = deps.clock.monotonic();
    call.send(encode(fresh, last.nonce));
    deps.metrics.sent(deps.clock.monotonic() - started);
    deps.onPush();
  };
  let refused: readonly string[] = [];
  // Envoy checks certificate and roots together and refuses the one that came last: when its partner is mended, the
  // refused one would stay refused for ever although nothing is wrong with it.
  const again = (): void => {
    if (refused.length === 0) return;
    for (const name of refused) subscription.sent.delete(name);
    refused = [];
    push();
  };
  deps.streams.add(again);
  const forget = deps.store.onChange((name) => {
    if (subscription.has(name)) push();
  });
  return {
    subscription,
    push,
    /** Takes note of an answer to a push. An old nonce says nothing about what Envoy has now. */
    answered(nonce: string, error: { readonly message: string } | null): void {
      if (nonce !== "" && nonce !== last?.nonce) deps.metrics.expiredNonce();
      if (nonce === "" || last === undefined || nonce !== last.nonce) return;
      const names = last.secrets.map(({ name }) => name);
      const version = last.secrets.map((one) => one.version).join();
      if (error !== null) {
        refused = names;
        deps.metrics.reject();
        deps.onNack({ names, version, text: error.message });
        return;
      }
      refused = [];
      deps.onAck(names, version);
      const isNews = last.secrets.some((one) => taken.get(one.name) !== one.version);
      for (const one of last.secrets) taken.set(one.name, one.version);
      if (isNews) for (const other of deps.streams) other();
    },
    close(): void {
      deps.streams.delete(again);
      forget();
      subscription.close();
    },
  };
}

const any = (one: StoredSecret) => ({ typeUrl, value: one.value });

function streamSecrets(deps: ServiceState, call: MessageCall): MessageHandler {
  const stream = openStream(deps, call, (secrets, nonce) =>
    discoveryResponse.encode({
      versionInfo: secrets.map(({ version }) => version).join("."),
      typeUrl,
      nonce,
      resources: secrets.map(any),
    }),
  );
  const onRequest = (request: DiscoveryRequest): void => {
    stream.answered(request.responseNonce, request.errorDetail);
    for (const name of stream.subscription.names)
      if (!request.resourceNames.includes(name)) stream.subscription.remove(name);
    for (const name of request.resourceNames) stream.subscription.add(name);
    stream.push();
  };
  return {
    onMessage: (message) => decoded(deps, call, message, () => onRequest(discoveryRequest.decode(message))),
    onEnd: () => call.end(grpcStatus.ok),
    onClose: () => stream.close(),
  };
}

function deltaSecrets(deps: ServiceState, call: MessageCall): MessageHandler {
  const stream = openStream(deps, call, (secrets, nonce) =>
    deltaDiscoveryResponse.encode({
      systemVersionInfo: secrets.map(({ version }) => version).join("."),
      typeUrl,
      nonce,
      resources: secrets.map((one) => ({ name: one.name, version: one.version, resource: any(one) })),
    }),
  );
  const onRequest = (request: DeltaDiscoveryRequest): void => {
    stream.answered(request.responseNonce, request.errorDetail);
    for (const name of request.resourceNamesUnsubscribe) stream.subscription.remove(name);
    for (const name of request.resourceNamesSubscribe) {
      // Asked for again means "send it again"; versions of an earlier life of ours say nothing.
      stream.subscription.sent.delete(name);
      stream.subscription.add(name);
    }
    stream.push();
  };
  return {
    onMessage: (message) => decoded(deps, call, message, () => onRequest(deltaDiscoveryRequest.decode(message))),
    onEnd: () => call.end(grpcStatus.ok),
    onClose: () => stream.close(),
  };
}

function fetchSecrets(deps: ServiceState, call: MessageCall): MessageHandler {
  const answer = ({ resourceNames }: DiscoveryRequest): void => {
    const subscription = new Subscription(deps.store);
    for (const name of resourceNames) subscription.add(name);
    const secrets = subscription.fresh();
    const missing = resourceNames.find((name) => !secrets.some((one) => one.name === name));
    const why = missing === undefined ? "" : deps.store.trouble(missing);
    subscription.close();
    if (missing !== undefined) return call.end(grpcStatus.unavailable, `cannot give "${missing}": ${why}`);
    const versionInfo = secrets.map(({ version }) => version).join(".");
    call.send(discoveryResponse.encode({ versionInfo, typeUrl, nonce: "1", resources: secrets.map(any) }));
    call.end(grpcStatus.ok);
  };
  return {
    onMessage: (message) => decoded(deps, call, message, () => answer(discoveryRequest.decode(message))),
    onEnd: () => undefined,
    onClose: () => undefined,
  };
}

/** Bytes that are no message end the call and nothing else. */
function decoded({ metrics }: ServiceState, call: MessageCall, message: Buffer, body: () => void): void {
  metrics.request(message.length);
  try {
    body();
  } catch (error) {
    call.end(grpcStatus.invalidArgument, error instanceof Error ? error.message : String(error));
  }
}
