import type { Problems } from "../foundation/problems.ts";
import type { Millis } from "../foundation/time.ts";

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
  /** 0600 unless OUTPUT_CERTS_MODE says otherwise. */
  readonly outputMode: number;
  /** The revocation list that goes with the roots when the file exists; undefined: PILOT_ENABLE_CA_CRL=false. */
  readonly crlPath: string | undefined;
  /** Roots that the configuration brings (ProxyConfig.caCertificatesPem), PEM. */
  readonly extraRoots: readonly string[];
  /** How long a changed file rests before it is read. */
  readonly fileDebounce: Millis;
  readonly sds: SdsSettings;
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
  /** Further uids that may ask, beside our own and root (PILOTFISH_SDS_UIDS). */
  readonly uids: readonly number[];
}

/** What this reader needs to know from the rest of the configuration. */
export interface ControlPlaneFacts {
  readonly discoveryAddress: string;
  /** Environment after ProxyConfig.proxyMetadata was laid over it. */
  readonly env: ReadonlyMap<string, string>;
  readonly trustDomain: string;
  readonly namespace: string;
  readonly serviceAccount: string;
  readonly clusterId: string;
  readonly caCertificatesPem: readonly string[];
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

/** Reads everything; what is wrong goes to `problems`, what is accepted but does nothing to `notices`. */
export function readControlPlaneConfig(
  facts: ControlPlaneFacts,
  problems: Problems,
  notices: string[],
): ControlPlaneConfig {
  const { env } = facts;
  unsupported(env, problems, notices);
  const provCert = env.get("PROV_CERT") || undefined;
  const outputDirectory = env.get("OUTPUT_CERTS") || undefined;
  const clientCertificate = provCert === undefined ? undefined : filesIn(provCert);
  const caAddress = env.get("CA_ADDR") || facts.discoveryAddress;
  const upstream = (what: string, address: string, roots: Upstream["roots"], prefix: string): Upstream => ({
    ...readAddress(what, address, problems),
    ...(env.get("ISTIOD_SAN") ? { serverName: env.get("ISTIOD_SAN") ?? "" } : {}),
    roots,
    clientCertificate,
    headers: headersOf(env, prefix),
  });
  const discovery = upstream("discoveryAddress", facts.discoveryAddress, xdsRoots(env, provCert), "XDS_HEADER_");
  return {
    ca: upstream("CA_ADDR", caAddress, caRoots(env, provCert), "CA_HEADER_"),
    xds: discovery,
    certSigner: env.get("ISTIO_META_CERT_SIGNER") || undefined,
    clusterId: facts.clusterId,
    tokenPath: "./var/run/secrets/tokens/istio-token",
    identity: `spiffe://${facts.trustDomain}/ns/${facts.namespace}/sa/${facts.serviceAccount || "default"}`,
    source: certificateSource(env, outputDirectory),
    certificate: certificateSettings(env, problems),
    outputDirectory,
    outputMode: readMode(env, problems),
    crlPath: readBoolean(env, "PILOT_ENABLE_CA_CRL", true) ? "./var/run/secrets/istio/crl/ca-crl.pem" : undefined,
    extraRoots: facts.caCertificatesPem,
    fileDebounce: readDuration(env, "FILE_DEBOUNCE_DURATION", 100, problems),
    sds: {
      socket: `${SDS_FOLDER}/${env.get("WORKLOAD_IDENTITY_SOCKET_FILE") || "socket"}`,
      filesSocket: "./var/run/secrets/credential-uds/files-socket",
      uids: readUids(env, problems),
    },
    keepalive: {
      interval: readDuration(env, "GRPC_KEEPALIVE_INTERVAL", 30_000, problems),
      timeout: readDuration(env, "GRPC_KEEPALIVE_TIMEOUT", 10_000, problems),
    },
    trustBundleOverXds: readBoolean(env, "PROXY_CONFIG_XDS_AGENT", false),
  };
}

function unsupported(env: ReadonlyMap<string, string>, problems: Problems, notices: string[]): void {
  const provider = env.get("CA_PROVIDER") || "Citadel";
  if (provider === "GoogleCA" || provider === "GoogleCAS")
    problems.add(
      "CA_PROVIDER",
      `"${provider}" is not supported; use Citadel, or mount certificates (FILE_MOUNTED_CERTS)`,
    );
  else if (provider !== "Citadel" && provider !== "GkeWorkloadCertificate")
    problems.add("CA_PROVIDER", `"${provider}" is not known; use Citadel or GkeWorkloadCertificate`);
  const fetcher = env.get("CREDENTIAL_FETCHER_TYPE") || "JWT";
  if (fetcher === "GoogleComputeEngine" || fetcher === "Mock")
    problems.add("CREDENTIAL_FETCHER_TYPE", `"${fetcher}" is not supported; use JWT, a token in a file`);
  else if (fetcher !== "JWT") problems.add("CREDENTIAL_FETCHER_TYPE", `"${fetcher}" is not known; use JWT`);
  const policy = env.get("JWT_POLICY");
  if (policy !== undefined && policy !== "" && policy !== "third-party-jwt")
    notices.push(
      `JWT_POLICY "${policy}" does nothing: the token always comes from ./var/run/secrets/tokens/istio-token`,
    );
  for (const name of ["XDS_AUTH_PROVIDER", "ISTIO_GPRC_MAXRECVMSGSIZE", "ISTIO_GPRC_MAXSTREAMS"])
    if (env.get(name)) notices.push(`${name} does nothing: pilotfish has no such limit`);
}

/** `host:port`, IPv6 in brackets; without a port 15012. */
function readAddress(
  name: string,
  address: string,
  problems: Problems,
): Pick<Upstream, "host" | "port" | "tls" | "serverName"> {
  const found = /^(?:\[([0-9a-fA-F:]+)\]|([^:[\]/\s]+))(?::(\d{1,5}))?$/.exec(
    address.replace(/^(https?|dns):\/{2,3}/, ""),
  );
  const port = Number(found?.[3] ?? 15012);
  const host = found?.[1] ?? found?.[2] ?? "";
  if (host === "" || port < 1 || port > 65_535) problems.add(name, `"${address}" is not an address; write HOST:PORT`);
  // A tunnel to istiod: its certificate carries the service's name.
  const serverName = host === "localhost" ? ISTIOD_NAME : host;
  return { host, port, tls: port !== 15_010, serverName };
}

/** features.md XDS-2. */
function xdsRoots(env: ReadonlyMap<string, string>, provCert: string | undefined): Upstream["roots"] {
  const given = env.get("XDS_ROOT_CA");
  if (given === "SYSTEM") return "SYSTEM";
  if (given) return [given];
  const mounted = env.get("ISTIO_META_TLS_CLIENT_ROOT_CERT");
  return [
    `${DEFAULT_FOLDER}/root-cert.pem`,
    ...(provCert === undefined ? [] : [`${provCert}/root-cert.pem`]),
    ...(readBoolean(env, "FILE_MOUNTED_CERTS", false) && mounted ? [mounted] : []),
    ISTIOD_ROOT,
  ];
}

function caRoots(env: ReadonlyMap<string, string>, provCert: string | undefined): Upstream["roots"] {
  const given = env.get("CA_ROOT_CA");
  if (given === "SYSTEM") return "SYSTEM";
  if (given) return [given];
  const provider = env.get("PILOT_CERT_PROVIDER") || "istiod";
  if (provider === "kubernetes") return [KUBERNETES_ROOT];
  if (provider === "custom") return [`${DEFAULT_FOLDER}/root-cert.pem`];
  if (provider === "none") return "SYSTEM";
  return [...(provCert === undefined ? [] : [`${provCert}/root-cert.pem`]), ISTIOD_ROOT];
}

/** CA_HEADER_X_Y=v becomes metadata `x_y: v`, as the peer does it. */
const headersOf = (env: ReadonlyMap<string, string>, prefix: string): readonly (readonly [string, string])[] =>
  [...env]
    .filter(([name]) => name.startsWith(prefix) && name.length > prefix.length)
    .map(([name, value]) => [name.slice(prefix.length).toLowerCase(), value] as const);

function certificateSource(env: ReadonlyMap<string, string>, output: string | undefined): CertificateSource {
  const meta = (name: string): string => env.get(`ISTIO_META_TLS_${name}`) || "";
  const mounted: CertificateFiles = {
    certificate: meta("CLIENT_CERT_CHAIN") || `${DEFAULT_FOLDER}/cert-chain.pem`,
    key: meta("CLIENT_KEY") || `${DEFAULT_FOLDER}/key.pem`,
    root: meta("CLIENT_ROOT_CERT") || `${DEFAULT_FOLDER}/root-cert.pem`,
  };
  if (readBoolean(env, "FILE_MOUNTED_CERTS", false)) return { kind: "files", files: [mounted] };
  if (env.get("CA_PROVIDER") === "GkeWorkloadCertificate")
    return { kind: "files", files: [gkeFiles, filesIn(WORKLOAD_FOLDER)] };
  // What we write to ./etc/certs ourselves is no source.
  const own = output !== undefined && samePath(output, DEFAULT_FOLDER);
  return { kind: "ca", files: [filesIn(WORKLOAD_FOLDER), gkeFiles, ...(own ? [] : [filesIn(DEFAULT_FOLDER)])] };
}

const samePath = (a: string, b: string): boolean => plainPath(a) === plainPath(b);
const plainPath = (path: string): string => path.replace(/^(\.\/)+/, "").replace(/\/+$/, "");

function certificateSettings(env: ReadonlyMap<string, string>, problems: Problems): CertificateSettings {
  const algorithm = env.get("ECC_SIGNATURE_ALGORITHM") || "";
  const curve = env.get("ECC_CURVE") || "P256";
  const bits = Number(env.get("WORKLOAD_RSA_KEY_SIZE") || 2_048);
  if (algorithm !== "" && algorithm !== "ECDSA")
    problems.add("ECC_SIGNATURE_ALGORITHM", `"${algorithm}" is not known; use ECDSA, or leave it empty for RSA`);
  if (curve !== "P256" && curve !== "P384") problems.add("ECC_CURVE", `"${curve}" is not known; use P256 or P384`);
  if (!Number.isInteger(bits) || bits < 2_048 || bits > 8_192)
    problems.add("WORKLOAD_RSA_KEY_SIZE", `"${bits}" is not a key size; use 2048 to 8192`);
  return {
    lifetime: readDuration(env, "SECRET_TTL", 24 * 3_600_000, problems),
    graceRatio: readRatio(env, "SECRET_GRACE_PERIOD_RATIO", 0.5, problems),
    graceJitter: readRatio(env, "SECRET_GRACE_PERIOD_RATIO_JITTER", 0.01, problems),
    key: algorithm === "ECDSA" ? { type: "ecdsa", curve: curve === "P384" ? "P384" : "P256" } : { type: "rsa", bits },
    pkcs8: readBoolean(env, "PKCS8_KEY", false),
  };
}

const readBoolean = (env: ReadonlyMap<string, string>, name: string, fallback: boolean): boolean => {
  const text = env.get(name)?.toLowerCase();
  if (text === undefined || text === "") return fallback;
  return text === "true" || text === "1" || text === "t";
};

function readRatio(env: ReadonlyMap<string, string>, name: string, fallback: number, problems: Problems): number {
  const text = env.get(name);
  if (text === undefined || text === "") return fallback;
  const value = Number(text);
  if (value >= 0 && value <= 1) return value;
  problems.add(name, `"${text}" is not a ratio; use a number from 0 to 1`);
  return fallback;
}

const units: Readonly<Record<string, Millis>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 };

function readDuration(env: ReadonlyMap<string, string>, name: string, fallback: Millis, problems: Problems): Millis {
  const text = env.get(name);
  if (text === undefined || text === "") return fallback;
  if (/^(\d+(\.\d+)?(ms|s|m|h))+$/.test(text)) {
    const parts = [...text.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h)/g)];
    const total = parts.reduce((sum, [, count, unit]) => sum + Number(count) * (units[unit ?? ""] ?? 0), 0);
    if (total > 0) return total;
  }
  problems.add(name, `"${text}" is not a duration; write "24h", "1h30m" or "500ms"`);
  return fallback;
}

function readMode(env: ReadonlyMap<string, string>, problems: Problems): number {
  const text = env.get("OUTPUT_CERTS_MODE");
  if (text === undefined || text === "") return 0o600;
  if (/^0?[0-7]{3}$/.test(text)) return Number.parseInt(text, 8);
  problems.add("OUTPUT_CERTS_MODE", `"${text}" is not a file mode; write "0600" or "0640"`);
  return 0o600;
}

function readUids(env: ReadonlyMap<string, string>, problems: Problems): readonly number[] {
  const text = env.get("PILOTFISH_SDS_UIDS") ?? "";
  const words = text
    .split(",")
    .map((word) => word.trim())
    .filter((word) => word !== "");
  if (words.every((word) => /^\d+$/.test(word))) return words.map(Number);
  problems.add("PILOTFISH_SDS_UIDS", `"${text}" is not a list of uids; write "1000,1001"`);
  return [];
}
