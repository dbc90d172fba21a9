import type { Clock } from "../foundation/time.ts";
import { type MessageCall, type MessageHandler, messages } from "../protocol/grpc-server.ts";
import { grpcStatus } from "../protocol/grpc-status.ts";
import {
  type DeltaDiscoveryRequest,
  type DiscoveryRequest,
  deltaDiscoveryRequest,
  deltaDiscoveryResponse,
  discoveryRequest,
  discoveryResponse,
} from "../protocol/messages.ts";
import { typeUrls } from "../protocol/names.ts";
import { type Faults, hits } from "./faults.ts";
import type { ResourceSet, ResourcesOfType } from "./resource-set.ts";

export interface AdsServiceDeps {
  readonly current: () => ResourceSet;
  /** Hears of each change of the resources; the result ends that. */
  readonly onChange: (hear: () => void) => () => void;
  readonly admits: (call: MessageCall) => boolean;
  readonly faults: () => Faults;
  readonly clock: Clock;
  /** A client refused what it got. */
  readonly onNack: (typeUrl: string, text: string) => void;
}

const LARGEST_REQUEST = 64 * 1024 * 1024;
const none: ResourcesOfType = { version: "0", byName: new Map() };
/** Without names these mean "all": the agent asks for name table and trust bundle as istiod knows them, without. */
const wildcardTypes: readonly string[] = [
  typeUrls.cluster,
  typeUrls.listener,
  typeUrls.nameTable,
  typeUrls.proxyConfig,
];

/** Sends later, never, or cuts the connection, as the faults say. */
class Sender {
  readonly #call: MessageCall;
  readonly #deps: AdsServiceDeps;
  readonly #timers = new Set<() => void>();
  #sent = 0;

  constructor(call: MessageCall, deps: AdsServiceDeps) {
    this.#call = call;
    this.#deps = deps;
  }

  send(message: Buffer): void {
    const { hang, delay, dropAfter } = this.#deps.faults();
    if (hits(hang, "ads")) return;
    const now = (): void => {
      this.#sent += message.length;
      this.#call.send(message);
      if (dropAfter !== undefined && this.#sent > dropAfter) this.#call.socket.destroy();
    };
    if (delay === undefined) return now();
    const cancel = this.#deps.clock.after(delay, () => {
      this.#timers.delete(cancel);
      now();
    });
    this.#timers.add(cancel);
  }

  close(): void {
    for (const cancel of this.#timers) cancel();
  }
}

/** Ends a call that may not be served; true when it was ended. */
function turnedAway(call: MessageCall, deps: AdsServiceDeps): boolean {
  const { refuse } = deps.faults();
  if (refuse !== undefined && hits(refuse.calls, "ads")) call.end(refuse.code, refuse.text);
  else if (!deps.admits(call)) call.end(grpcStatus.unauthenticated, "the token is missing or not known");
  else return false;
  return true;
}

const nothing: MessageHandler = { onMessage: () => undefined, onEnd: () => undefined, onClose: () => undefined };

interface Subscription {
  names: ReadonlySet<string>;
  wildcard: boolean;
  /** Versions that the client has, by name. */
  sent: Map<string, string>;
  nonce: string;
}

/** StreamAggregatedResources: state of the world. */
export const sotwAds = (deps: AdsServiceDeps): ReturnType<typeof messages> =>
  messages(LARGEST_REQUEST, (call) => {
    if (turnedAway(call, deps)) return nothing;
    const sender = new Sender(call, deps);
    const subscriptions = new Map<string, Subscription>();
    let nonces = 0;
    const push = (typeUrl: string, subscription: Subscription): void => {
      const { version, byName } = deps.current().get(typeUrl) ?? none;
      const chosen = [...byName.values()].filter(({ name }) => subscription.wildcard || subscription.names.has(name));
      subscription.nonce = String(++nonces);
      subscription.sent = new Map(chosen.map((one) => [one.name, one.version]));
      const resources = chosen.map(({ value }) => ({ typeUrl, value }));
      sender.send(discoveryResponse.encode({ versionInfo: version, typeUrl, nonce: subscription.nonce, resources }));
    };
    const onRequest = (request: DiscoveryRequest): void => {
      const { typeUrl, resourceNames, responseNonce, errorDetail } = request;
      if (errorDetail !== null) deps.onNack(typeUrl, errorDetail.message);
      const known = subscriptions.get(typeUrl);
      if (known !== undefined && responseNonce !== "" && responseNonce !== known.nonce) return;
      const names = new Set(resourceNames);
      const subscription = known ?? { names, wildcard: false, sent: new Map(), nonce: "" };
      const grew = known === undefined || [...names].some((name) => !known.names.has(name));
      subscription.names = names;
      subscription.wildcard = names.size === 0 && wildcardTypes.includes(typeUrl);
      subscriptions.set(typeUrl, subscription);
      if (grew) push(typeUrl, subscription);
    };
    const changed = (): void => {
      for (const [typeUrl, subscription] of subscriptions) {
        const { byName } = deps.current().get(typeUrl) ?? none;
        const now = [...byName.values()].filter(({ name }) => subscription.wildcard || subscription.names.has(name));
        const same =
          now.length === subscription.sent.size &&
          now.every(({ name, version }) => subscription.sent.get(name) === version);
        if (!same) push(typeUrl, subscription);
      }
    };
    const forget = deps.onChange(changed);
    return {
      onMessage: (message) => onRequest(discoveryRequest.decode(message)),
      onEnd: () => call.end(grpcStatus.ok),
      onClose: () => {
        forget();
        sender.close();
      },
    };
  });

/** DeltaAggregatedResources: differences only. */
export const deltaAds = (deps: AdsServiceDeps): ReturnType<typeof messages> =>
  messages(LARGEST_REQUEST, (call) => {
    if (turnedAway(call, deps)) return nothing;
    const sender = new Sender(call, deps);
    const subscriptions = new Map<string, Subscription>();
    let nonces = 0;
    const push = (typeUrl: string, subscription: Subscription, always: boolean): void => {
      const { version, byName } = deps.current().get(typeUrl) ?? none;
      const wanted = [...byName.values()].filter(({ name }) => subscription.wildcard || subscription.names.has(name));
      const fresh = wanted.filter((one) => subscription.sent.get(one.name) !== one.version);
      const gone = [...subscription.sent.keys()].filter((name) => !byName.has(name));
      if (!always && fresh.length === 0 && gone.length === 0) return;
      for (const one of fresh) subscription.sent.set(one.name, one.version);
      for (const name of gone) subscription.sent.delete(name);
      subscription.nonce = String(++nonces);
      const resources = fresh.map((one) => ({
        name: one.name,
        version: one.version,
        resource: { typeUrl, value: one.value },
      }));
      sender.send(
        deltaDiscoveryResponse.encode({
          systemVersionInfo: version,
          typeUrl,
          nonce: subscription.nonce,
          resources,
          removedResources: gone,
        }),
      );
    };
    const onRequest = (request: DeltaDiscoveryRequest): void => {
      const { typeUrl, resourceNamesSubscribe: more, resourceNamesUnsubscribe: less, errorDetail } = request;
      if (errorDetail !== null) deps.onNack(typeUrl, errorDetail.message);
      const known = subscriptions.get(typeUrl);
      const subscription = known ?? {
        names: new Set<string>(),
        wildcard: more.length === 0 && wildcardTypes.includes(typeUrl),
        sent: new Map(Object.entries(request.initialResourceVersions)),
        nonce: "",
      };
      if (more.includes("*")) subscription.wildcard = true;
      if (less.includes("*")) subscription.wildcard = false;
      // Asked for again means "send it again".
      for (const name of known === undefined ? [] : more) subscription.sent.delete(name);
      for (const name of less) subscription.sent.delete(name);
      subscription.names = new Set([...subscription.names, ...more].filter((name) => !less.includes(name)));
      subscriptions.set(typeUrl, subscription);
      if (known === undefined || more.length > 0) push(typeUrl, subscription, true);
    };
    const forget = deps.onChange(() => {
      for (const [typeUrl, subscription] of subscriptions) push(typeUrl, subscription, false);
    });
    return {
      onMessage: (message) => onRequest(deltaDiscoveryRequest.decode(message)),
      onEnd: () => call.end(grpcStatus.ok),
      onClose: () => {
        forget();
        sender.close();
      },
    };
  });
