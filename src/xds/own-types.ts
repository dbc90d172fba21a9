import type { Log } from "../foundation/log.ts";
import {
  deltaDiscoveryRequest,
  deltaDiscoveryResponse,
  discoveryRequest,
  discoveryResponse,
  type NameTable,
  nameTable,
  trustBundleConfig,
} from "../protocol/messages.ts";
import { shortType, typeUrls } from "../protocol/names.ts";
import type { ResponseFacts, Variant } from "./discovery-reading.ts";

/** What the agent itself subscribes to on Envoy's stream, and what it changes on the way. A missing one is off. */
export interface XdsHooks {
  /** NDS: the name table for the DNS proxy. Throws to refuse it. */
  readonly onNameTable?: (table: NameTable) => void;
  /** PCDS: the trust bundle, PEM. Throws to refuse it. */
  readonly onTrustBundle?: (roots: readonly string[]) => void;
  /** Envoy was given listeners. */
  readonly onListeners?: () => void;
  /** ECDS: gets a whole response message and gives the one that Envoy gets. */
  readonly rewriteExtensions?: (message: Buffer, variant: Variant) => Promise<Buffer>;
}

/** The application's health, told to the control plane (WorkloadEntry health). */
export type ApplicationHealth = { readonly healthy: true } | { readonly healthy: false; readonly reason: string };

const grpcUnhealthy = 500;

/** Our own subscriptions on one stream: asked for after Envoy's first LDS request, as the peer does it. */
export class OwnTypes {
  readonly #variant: Variant;
  readonly #hooks: XdsHooks;
  readonly #log: Log;
  readonly #inject: (message: Uint8Array) => void;
  readonly #strangers = new Set<string>();

  constructor(variant: Variant, hooks: XdsHooks, log: Log, inject: (message: Uint8Array) => void) {
    this.#variant = variant;
    this.#hooks = hooks;
    this.#log = log;
    this.#inject = inject;
  }

  subscribe(): void {
    if (this.#hooks.onNameTable !== undefined) this.#request(typeUrls.nameTable, {});
    if (this.#hooks.onTrustBundle !== undefined) this.#request(typeUrls.proxyConfig, {});
  }

  sendHealth(health: ApplicationHealth): void {
    const errorDetail = health.healthy ? null : { code: grpcUnhealthy, message: health.reason };
    this.#request(typeUrls.health, { errorDetail });
  }

  /** A response that is not Envoy's. Ours are acknowledged or refused; what nobody asked for is dropped. */
  take(facts: ResponseFacts, message: Buffer): void {
    const { typeUrl, version, nonce } = facts;
    const use = this.#use(typeUrl);
    if (use === undefined) {
      if (!this.#strangers.has(typeUrl))
        this.#log.warn("the control plane sent a type that nobody asked for; it is dropped", { typeUrl });
      this.#strangers.add(typeUrl);
      return;
    }
    try {
      for (const value of this.#resources(message)) use(value);
      this.#request(typeUrl, { versionInfo: version, responseNonce: nonce });
    } catch (error) {
      const text = error instanceof Error ? error.message : String(error);
      this.#log.warn("refused what the control plane sent us", { type: shortType(typeUrl), error });
      this.#request(typeUrl, { responseNonce: nonce, errorDetail: { code: 3, message: text } });
    }
  }

  #use(typeUrl: string): ((value: Buffer) => void) | undefined {
    const { onNameTable, onTrustBundle } = this.#hooks;
    if (typeUrl === typeUrls.nameTable && onNameTable) return (value) => onNameTable(nameTable.decode(value));
    if (typeUrl === typeUrls.proxyConfig && onTrustBundle)
      return (value) => onTrustBundle(trustBundleConfig.decode(value).caCertificatesPem);
    return undefined;
  }

  #resources(message: Buffer): readonly Buffer[] {
    return this.#variant === "sotw"
      ? discoveryResponse.decode(message).resources.map(({ value }) => value)
      : deltaDiscoveryResponse.decode(message).resources.map(({ resource }) => resource.value);
  }

  #request(
    typeUrl: string,
    more: {
      readonly versionInfo?: string;
      readonly responseNonce?: string;
      readonly errorDetail?: { readonly code: number; readonly message: string } | null;
    },
  ): void {
    this.#inject(
      this.#variant === "sotw"
        ? discoveryRequest.encode({ typeUrl, ...more })
        : deltaDiscoveryRequest.encode({
            typeUrl,
            ...(more.responseNonce === undefined ? {} : { responseNonce: more.responseNonce }),
            ...(more.errorDetail ? { errorDetail: more.errorDetail } : {}),
          }),
    );
  }
}
