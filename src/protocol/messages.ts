import { fromJSON, type MessageTypeDefinition } from "@grpc/proto-loader";
import descriptors from "./descriptors.json" with { type: "json" };

/**
 * The messages of proto/ that we read or write, from descriptors that were compiled at build time. Loading this module
 * costs about 4 MB: import it with `await import(...)` where it is first needed.
 */
export interface Codec<T> {
  encode(value: Partial<T>): Buffer;
  /** Missing fields get their default. Throws for bytes that are no such message. */
  decode(bytes: Buffer): T;
}

export interface Any {
  readonly typeUrl: string;
  readonly value: Buffer;
}

export interface Status {
  readonly code: number;
  readonly message: string;
}

export interface DiscoveryRequest {
  readonly versionInfo: string;
  readonly node: { readonly id: string; readonly cluster: string } | null;
  readonly resourceNames: readonly string[];
  readonly typeUrl: string;
  readonly responseNonce: string;
  readonly errorDetail: Status | null;
}

export interface DiscoveryResponse {
  readonly versionInfo: string;
  readonly resources: readonly Any[];
  readonly typeUrl: string;
  readonly nonce: string;
}

export interface DeltaDiscoveryRequest {
  readonly node: { readonly id: string; readonly cluster: string } | null;
  readonly typeUrl: string;
  readonly resourceNamesSubscribe: readonly string[];
  readonly resourceNamesUnsubscribe: readonly string[];
  readonly initialResourceVersions: Readonly<Record<string, string>>;
  readonly responseNonce: string;
  readonly errorDetail: Status | null;
}

export interface DeltaResource {
  readonly name: string;
  readonly version: string;
  readonly resource: Any;
}

export interface DeltaDiscoveryResponse {
  readonly systemVersionInfo: string;
  readonly resources: readonly DeltaResource[];
  readonly typeUrl: string;
  readonly nonce: string;
  readonly removedResources: readonly string[];
}

export interface Secret {
  readonly name: string;
  readonly tlsCertificate: { readonly certificateChain: DataSource; readonly privateKey: DataSource };
  readonly validationContext: { readonly trustedCa: DataSource; readonly crl?: DataSource };
}

export type DataSource = { readonly inlineBytes: Uint8Array } | { readonly filename: string };

export interface CertificateRequest {
  /** PEM. */
  readonly csr: string;
  /** Seconds. */
  readonly validityDuration: number;
  readonly metadata: { readonly fields: Readonly<Record<string, { readonly stringValue: string }>> } | null;
}

export interface CertificateResponse {
  /** PEM: leaf first, root last. */
  readonly certChain: readonly string[];
}

export interface NameTable {
  readonly table: Readonly<
    Record<
      string,
      {
        readonly ips: readonly string[];
        readonly registry: string;
        readonly shortname: string;
        readonly namespace: string;
        readonly altHosts: readonly string[];
      }
    >
  >;
}

export interface TrustBundleConfig {
  readonly caCertificatesPem: readonly string[];
}

const definitions = fromJSON(descriptors as unknown as Parameters<typeof fromJSON>[0], {
  longs: Number,
  enums: String,
  defaults: true,
  arrays: true,
  objects: true,
});

function codec<T>(name: string): Codec<T> {
  const type = definitions[name] as unknown as MessageTypeDefinition<Partial<T>, T>;
  return { encode: (value) => type.serialize(value), decode: (bytes) => type.deserialize(bytes) };
}

const discovery = "envoy.service.discovery.v3";
export const discoveryRequest = codec<DiscoveryRequest>(`${discovery}.DiscoveryRequest`);
export const discoveryResponse = codec<DiscoveryResponse>(`${discovery}.DiscoveryResponse`);
export const deltaDiscoveryRequest = codec<DeltaDiscoveryRequest>(`${discovery}.DeltaDiscoveryRequest`);
export const deltaDiscoveryResponse = codec<DeltaDiscoveryResponse>(`${discovery}.DeltaDiscoveryResponse`);
export const secret = codec<Secret>("envoy.service.secret.v3.Secret");
export const certificateRequest = codec<CertificateRequest>("istio.v1.auth.IstioCertificateRequest");
export const certificateResponse = codec<CertificateResponse>("istio.v1.auth.IstioCertificateResponse");
export const nameTable = codec<NameTable>("istio.networking.nds.v1.NameTable");
export const trustBundleConfig = codec<TrustBundleConfig>("istio.mesh.v1alpha1.ProxyConfig");
