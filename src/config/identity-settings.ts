import type { Problems } from "../foundation/problems.ts";
import type { Millis } from "../foundation/time.ts";
import type { EnvironmentReader } from "./environment-reader.ts";
import type { FlagReader } from "./flag-reader.ts";
import { firstSet } from "./units.ts";

/** Where the workload's certificate comes from and how it is made (features.md CLI-10). */
export interface IdentitySettings {
  readonly provider: "Citadel" | "GkeWorkloadCertificate";
  /** `host:port` of the certificate authority: CA_ADDR, otherwise the discovery address. */
  readonly caAddress: string;
  /** PILOT_CERT_PROVIDER: `istiod`, `kubernetes`, `k8s.io/NAME`, `custom`, `none`. */
  readonly certProvider: string;
  readonly jwtPolicy: "third-party-jwt" | "first-party-jwt" | "none";
  readonly tokenAudiences: readonly string[];
  /** Folder with a certificate that is there already. */
  readonly provCert: string | undefined;
  /** Folder into which certificate, key and roots are written. */
  readonly outputCerts: string | undefined;
  /** Mode of its files. */
  readonly outputMode: number;
  /** Uids that may ask for secrets, beside our own and root. */
  readonly sdsUids: readonly number[];
  /** File, or "SYSTEM". */
  readonly caRootCa: string | undefined;
  readonly xdsRootCa: string | undefined;
  /** Name in the control plane's certificate when it is not the host's. */
  readonly istiodSan: string | undefined;
  readonly ttl: Millis;
  /** Part of the lifetime before the end in which a certificate is renewed, 0 to 1. */
  readonly graceRatio: number;
  readonly graceJitter: number;
  readonly key:
    | { readonly kind: "rsa"; readonly bits: number }
    | { readonly kind: "ecdsa"; readonly curve: "P256" | "P384" };
  readonly pkcs8: boolean;
  readonly fileMountedCerts: boolean;
  readonly fileDebounce: Millis;
  /** File name of the SDS socket below ./var/run/secrets/workload-spiffe-uds. */
  readonly workloadSocketFile: string;
  readonly certSigner: string | undefined;
  readonly crl: boolean;
  /** Further headers of every certificate request, names in lower case. */
  readonly caHeaders: ReadonlyMap<string, string>;
}

/** The connection to the control plane and our own gRPC servers (features.md CLI-11). */
export interface XdsSettings {
  /** Further headers of every stream, names in lower case. */
  readonly headers: ReadonlyMap<string, string>;
  /** Takes changes of the trust bundle from the control plane (PROXY_CONFIG_XDS_AGENT). */
  readonly trustBundleUpdates: boolean;
  readonly keepaliveInterval: Millis;
  readonly keepaliveTimeout: Millis;
  readonly maxStreams: number;
  /** Longest message that our own servers take, in bytes. */
  readonly maxReceiveSize: number;
  readonly grpcBootstrapPath: string;
  /** How long a pod that had its configuration stays ready without the control plane; undefined: for ever. */
  readonly tolerance: Millis | undefined;
}

export function readIdentitySettings(
  env: EnvironmentReader,
  discoveryAddress: string,
  certSigner: string | undefined,
  problems: Problems,
): IdentitySettings {
  const provider = env.choice("CA_PROVIDER");
  const served = provider === "Citadel" || provider === "GkeWorkloadCertificate";
  if (!served) problems.add("CA_PROVIDER", `"${provider}" is not supported; use Citadel or GkeWorkloadCertificate`);
  refuseFetchers(env, problems);
  const bits = env.integer("WORKLOAD_RSA_KEY_SIZE");
  if (bits < 2_048 || bits > 16_384) {
    problems.add("WORKLOAD_RSA_KEY_SIZE", `"${bits}" can't be used; use 2048 to 16384 bits`);
  }
  const curve = env.choice("ECC_CURVE");
  const socketFile = env.text("WORKLOAD_IDENTITY_SOCKET_FILE");
  if (socketFile.includes("/")) {
    problems.add("WORKLOAD_IDENTITY_SOCKET_FILE", `"${socketFile}" is a path; use a file name`);
  }
  return {
    provider: served ? provider : "Citadel",
    caAddress: env.address("CA_ADDR") ?? discoveryAddress,
    certProvider: env.text("PILOT_CERT_PROVIDER"),
    jwtPolicy: env.choice("JWT_POLICY"),
    tokenAudiences: env.list("TOKEN_AUDIENCES"),
    provCert: env.text("PROV_CERT"),
    outputCerts: env.text("OUTPUT_CERTS"),
    outputMode: readMode(env, problems),
    sdsUids: readUids(env, problems),
    caRootCa: env.text("CA_ROOT_CA"),
    xdsRootCa: env.text("XDS_ROOT_CA"),
    istiodSan: env.text("ISTIOD_SAN"),
    ttl: positive(env, "SECRET_TTL", problems),
    graceRatio: env.ratio("SECRET_GRACE_PERIOD_RATIO"),
    graceJitter: env.ratio("SECRET_GRACE_PERIOD_RATIO_JITTER"),
    key: env.choice("ECC_SIGNATURE_ALGORITHM") === "ECDSA" ? { kind: "ecdsa", curve } : { kind: "rsa", bits },
    pkcs8: env.boolean("PKCS8_KEY"),
    fileMountedCerts: env.boolean("FILE_MOUNTED_CERTS"),
    fileDebounce: env.duration("FILE_DEBOUNCE_DURATION"),
    workloadSocketFile: socketFile,
    certSigner,
    crl: env.boolean("PILOT_ENABLE_CA_CRL"),
    caHeaders: headers(env, "CA_HEADER_"),
  };
}

function refuseFetchers(env: EnvironmentReader, problems: Problems): void {
  const fetcher = env.choice("CREDENTIAL_FETCHER_TYPE");
  env.text("CREDENTIAL_IDENTITY_PROVIDER");
  if (fetcher !== "JWT") problems.add("CREDENTIAL_FETCHER_TYPE", `"${fetcher}" is not supported; use JWT`);
}

function readMode(env: EnvironmentReader, problems: Problems): number {
  const text = env.text("PILOTFISH_OUTPUT_CERTS_MODE");
  if (/^0?[0-7]{3}$/.test(text)) return Number.parseInt(text, 8);
  problems.add("PILOTFISH_OUTPUT_CERTS_MODE", `"${text}" is not a file mode; use one such as 0600 or 0640`);
  return 0o600;
}

function readUids(env: EnvironmentReader, problems: Problems): readonly number[] {
  const words = env.list("PILOTFISH_SDS_UIDS") ?? [];
  const wrong = words.find((word) => !/^\d{1,10}$/.test(word));
  if (wrong === undefined) return words.map(Number);
  problems.add("PILOTFISH_SDS_UIDS", `"${wrong}" is not a uid; use numbers with commas between`);
  return [];
}

/** A lifetime or a period of nothing would be renewed for ever. */
function positive(
  env: EnvironmentReader,
  name: "SECRET_TTL" | "GRPC_KEEPALIVE_INTERVAL" | "GRPC_KEEPALIVE_TIMEOUT",
  problems: Problems,
): Millis {
  const duration = env.duration(name);
  if (duration <= 0) problems.add(name, `"${duration}" can't be used; use a duration above 0`);
  return duration;
}

export function readXdsSettings(flags: FlagReader, env: EnvironmentReader, problems: Problems): XdsSettings {
  env.text("XDS_AUTH_PROVIDER");
  return {
    headers: headers(env, "XDS_HEADER_"),
    trustBundleUpdates: env.boolean("PROXY_CONFIG_XDS_AGENT"),
    keepaliveInterval: positive(env, "GRPC_KEEPALIVE_INTERVAL", problems),
    keepaliveTimeout: positive(env, "GRPC_KEEPALIVE_TIMEOUT", problems),
    maxStreams: env.integer("ISTIO_GPRC_MAXSTREAMS"),
    maxReceiveSize: env.integer("ISTIO_GPRC_MAXRECVMSGSIZE"),
    grpcBootstrapPath: env.text("GRPC_XDS_BOOTSTRAP"),
    tolerance: firstSet(
      flags.duration("control-plane-tolerance", 0),
      env.duration("PILOTFISH_CONTROL_PLANE_TOLERANCE"),
    ),
  };
}

/** HTTP/2 has lower-case names only. */
const headers = (env: EnvironmentReader, prefix: string): ReadonlyMap<string, string> =>
  new Map([...env.prefixed(prefix)].map(([name, value]) => [name.toLowerCase(), value]));
