import type { Millis } from "../foundation/time.ts";
import type { AgentConfig } from "./agent-config.ts";

/** How we reach the control plane and what we ask of it (features.md CLI-10 and CLI-11). Paths are as Istio's. */
export interface ControlPlaneConfig {
  readonly ca: Upstream;
  readonly xds: Upstream;
  /** ISTIO_META_CERT_SIGNER, sent with each signing request. */
  readonly certSigner: string | undefined;
  /** Sent as metadata `clusterid`. */
  readonly clusterId: string;
  /** File with the bearer token; read again for every call. */
  readonly tokenPath: string;
  /** Our name: `spiffe://TRUST_DOMAIN/ns/NAMESPACE/sa/SERVICE_ACCOUNT`. */
  readonly identity: string;
  /** Where the workload's certificate comes from. */
  readonly source: CertificateSource;
  readonly certificate: CertificateSettings;
  /** OUTPUT_CERTS: also written here; undefined is off. */
  readonly outputDirectory: string | undefined;
  /** File mode of what is written there. */
  readonly outputMode: number;
  /** The revocation list that goes with the roots when the file exists; undefined: PILOT_ENABLE_CA_CRL=false. */
  readonly crlPath: string | undefined;
  /** Roots that the configuration brings (ProxyConfig.caCertificatesPem), PEM. */
  readonly extraRoots: readonly string[];
  /** How long a changed file rests before it is read. */
  readonly fileDebounce: Millis;
  readonly sds: SdsSettings;
  /** The socket on which Envoy asks for its configuration. */
  readonly xdsSocket: string;
  readonly keepalive: { readonly interval: Millis; readonly timeout: Millis };
  /** Subscribe to the trust bundle (PROXY_CONFIG_XDS_AGENT). */
  readonly trustBundleOverXds: boolean;
}

/** A gRPC server of the control plane. */
export interface Upstream {
  readonly host: string;
  readonly port: number;
  /** Port 15010 speaks without TLS. */
  readonly tls: boolean;
  /** The name that the server's certificate must carry. */
  readonly serverName: string;
  /** "SYSTEM", or files of which the first that exists counts, looked for anew at every connection. */
  readonly roots: "SYSTEM" | readonly string[];
  /** PROV_CERT: a client certificate instead of the token, as long as it is valid. */
  readonly clientCertificate: CertificateFiles | undefined;
  /** CA_HEADER_* or XDS_HEADER_*: further metadata. */
  readonly headers: readonly (readonly [name: string, value: string])[];
}

export interface CertificateFiles {
  readonly certificate: string;
  readonly key: string;
  readonly root: string;
}

export type CertificateSource =
  | {
      readonly kind: "ca" /** Used instead of the CA when they are there at the start, in this order. */;
      readonly files: readonly CertificateFiles[];
    }
  /** FILE_MOUNTED_CERTS or GkeWorkloadCertificate: files only. */
  | { readonly kind: "files"; readonly files: readonly CertificateFiles[] };

export interface CertificateSettings {
  readonly lifetime: Millis;
  /** Part of the lifetime that is left at the renewal, 0..1. */
  readonly graceRatio: number;
  readonly graceJitter: number;
  readonly key:
    | { readonly type: "rsa"; readonly bits: number }
    | { readonly type: "ecdsa"; readonly curve: "P256" | "P384" };
  readonly pkcs8: boolean;
}

export interface SdsSettings {
  /** Our socket, and where an external SDS (SPIRE) may answer. */
  readonly socket: string;
  /** Our socket for `file-…` names when an external SDS serves the other. */
  readonly filesSocket: string;
  /** Further uids that may ask, beside our own and root; they may ask the XDS socket, too. */
  readonly uids: readonly number[];
}

const DEFAULT_FOLDER = "./etc/certs";
const WORKLOAD_FOLDER = "./var/run/secrets/workload-spiffe-credentials";
const ISTIOD_ROOT = "./var/run/secrets/istio/root-cert.pem";
const KUBERNETES_ROOT = "./var/run/secrets/kubernetes.io/serviceaccount/ca.crt";
const ISTIOD_NAME = "istiod.istio-system.svc";
const SDS_FOLDER = "./var/run/secrets/workload-spiffe-uds";

const filesIn = (folder: string): CertificateFiles => ({
  certificate: `${folder}/cert-chain.pem`,
  key: `${folder}/key.pem`,
  root: `${folder}/root-cert.pem`,
});

const gkeFiles: CertificateFiles = {
  certificate: `${WORKLOAD_FOLDER}/certificates.pem`,
  key: `${WORKLOAD_FOLDER}/private_key.pem`,
  root: `${WORKLOAD_FOLDER}/ca_certificates.pem`,
};

/** Derives everything about the control plane from the configuration: pure, and it cannot fail. */
export function controlPlaneConfig(config: AgentConfig): ControlPlaneConfig {
  const { identity, xds, node, proxy } = config;
  const clientCertificate = identity.provCert ? filesIn(identity.provCert) : undefined;
  const upstream = (address: string, roots: Upstream["roots"], headers: ReadonlyMap<string, string>): Upstream => {
    const place = splitAddress(address);
    return {
      ...place,
      tls: place.port !== 15_010,
      serverName: identity.istiodSan || (place.host === "localhost" ? ISTIOD_NAME : place.host),
      roots,
      clientCertificate,
      headers: [...headers],
    };
  };
  return {
    ca: upstream(identity.caAddress, caRoots(config), identity.caHeaders),
    xds: upstream(proxy.discoveryAddress, xdsRoots(config), xds.headers),
    certSigner: identity.certSigner || undefined,
    clusterId: node.clusterId,
    tokenPath: "./var/run/secrets/tokens/istio-token",
    identity: `spiffe://${node.trustDomain}/ns/${node.namespace || "default"}/sa/${node.serviceAccount || "default"}`,
    source: certificateSource(config),
    certificate: {
      lifetime: identity.ttl,
      graceRatio: identity.graceRatio,
      graceJitter: identity.graceJitter,
      key:
        identity.key.kind === "rsa"
          ? { type: "rsa", bits: identity.key.bits }
          : { type: "ecdsa", curve: identity.key.curve },
      pkcs8: identity.pkcs8,
    },
    outputDirectory: identity.outputCerts || undefined,
    outputMode: identity.outputMode,
    crlPath: identity.crl ? "./var/run/secrets/istio/crl/ca-crl.pem" : undefined,
    extraRoots: proxy.caCertificatesPem,
    fileDebounce: identity.fileDebounce,
    sds: {
      socket: `${SDS_FOLDER}/${identity.workloadSocketFile || "socket"}`,
      filesSocket: "./var/run/secrets/credential-uds/files-socket",
      uids: identity.sdsUids,
    },
    xdsSocket: `${proxy.configPath}/XDS`,
    keepalive: { interval: xds.keepaliveInterval, timeout: xds.keepaliveTimeout },
    trustBundleOverXds: xds.trustBundleUpdates,
  };
}

/** `host:port`, IPv6 in brackets; without a port 15012. The address was checked when the configuration was read. */
function splitAddress(address: string): { readonly host: string; readonly port: number } {
  const found = /^(?:\[([^\]]+)\]|([^:]+))(?::(\d+))?$/.exec(address);
  return { host: found?.[1] ?? found?.[2] ?? address, port: Number(found?.[3] ?? 15_012) };
}

const metadataText = ({ node }: AgentConfig, key: string): string | undefined => {
  const value = node.metadata[key];
  return typeof value === "string" && value !== "" ? value : undefined;
};

/** features.md XDS-2: the first that exists counts. */
function xdsRoots(config: AgentConfig): Upstream["roots"] {
  const { xdsRootCa, provCert, fileMountedCerts } = config.identity;
  if (xdsRootCa === "SYSTEM") return "SYSTEM";
  if (xdsRootCa) return [xdsRootCa];
  const mounted = fileMountedCerts ? metadataText(config, "TLS_CLIENT_ROOT_CERT") : undefined;
  return [
    `${DEFAULT_FOLDER}/root-cert.pem`,
    ...(provCert ? [`${provCert}/root-cert.pem`] : []),
    ...(mounted === undefined ? [] : [mounted]),
    ISTIOD_ROOT,
  ];
}

function caRoots({ identity }: AgentConfig): Upstream["roots"] {
  if (identity.caRootCa === "SYSTEM") return "SYSTEM";
  if (identity.caRootCa) return [identity.caRootCa];
  if (identity.certProvider === "kubernetes") return [KUBERNETES_ROOT];
  if (identity.certProvider === "custom") return [`${DEFAULT_FOLDER}/root-cert.pem`];
  if (identity.certProvider === "none") return "SYSTEM";
  return [...(identity.provCert ? [`${identity.provCert}/root-cert.pem`] : []), ISTIOD_ROOT];
}

function certificateSource(config: AgentConfig): CertificateSource {
  const { fileMountedCerts, provider, outputCerts } = config.identity;
  const mounted: CertificateFiles = {
    certificate: metadataText(config, "TLS_CLIENT_CERT_CHAIN") ?? `${DEFAULT_FOLDER}/cert-chain.pem`,
    key: metadataText(config, "TLS_CLIENT_KEY") ?? `${DEFAULT_FOLDER}/key.pem`,
    root: metadataText(config, "TLS_CLIENT_ROOT_CERT") ?? `${DEFAULT_FOLDER}/root-cert.pem`,
  };
  if (fileMountedCerts) return { kind: "files", files: [mounted] };
  if (provider === "GkeWorkloadCertificate") return { kind: "files", files: [gkeFiles, filesIn(WORKLOAD_FOLDER)] };
  // What we write to ./etc/certs ourselves is no source.
  const own = outputCerts ? plainPath(outputCerts) === plainPath(DEFAULT_FOLDER) : false;
  return { kind: "ca", files: [filesIn(WORKLOAD_FOLDER), gkeFiles, ...(own ? [] : [filesIn(DEFAULT_FOLDER)])] };
}

const plainPath = (path: string): string => path.replace(/^(\.\/)+/, "").replace(/\/+$/, "");
