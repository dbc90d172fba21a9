import type { CertificateFiles, ControlPlaneConfig } from "../config/control-plane-config.ts";
import { describeError } from "../foundation/errors.ts";
import type { Log } from "../foundation/log.ts";
import type { Clock } from "../foundation/time.ts";
import { replaceFiles } from "../system/atomic-folder.ts";
import { fileExists } from "../system/files.ts";
import { createRotation, type RotationState } from "./ca-rotation.ts";
import type { Certificate } from "./certificate.ts";
import { checkMounted } from "./check-certificate.ts";
import type { IdentityMetrics } from "./identity-metrics.ts";
import { readPrivateKey } from "./private-key.ts";
import { TrustBundle } from "./trust-bundle.ts";
import { type FileTexts, type WatchedFiles, watchFiles } from "./watched-files.ts";

export interface WorkloadIdentityDeps {
  readonly config: ControlPlaneConfig;
  readonly clock: Clock;
  /** 0..1 */
  readonly random: () => number;
  readonly log: Log;
  readonly metrics: IdentityMetrics;
}

/** The workload's certificate and the roots of its peers, kept up to date by itself. */
export interface WorkloadIdentity {
  start(): void;
  /** The certificate in use; undefined until the first one is there. It may have expired: see `status`. */
  current(): Certificate | undefined;
  /** Roots as PEM. */
  roots(): string | undefined;
  /** The revocation list's text, when there is one. */
  revocations(): string | undefined;
  /** Hears of every change of certificate, roots or revocations; the result ends that. */
  onChange(hear: () => void): () => void;
  /** The control plane's trust bundle (PCDS), PEM. */
  setTrustBundle(roots: readonly string[]): void;
  status(): IdentityStatus;
  stop(): Promise<void>;
}

export interface IdentityStatus {
  readonly source: "ca" | "files";
  readonly state: "waiting" | "valid" | "expired";
  /** In words why there is none, or what went wrong at the last renewal; empty when all is well. */
  readonly reason: string;
  readonly identity: string;
  readonly serialNumber: string | undefined;
  readonly notBefore: Date | undefined;
  readonly notAfter: Date | undefined;
  /** When the next one will be asked for. */
  readonly renewAt: Date | undefined;
  /** Certificates that we got so far. */
  readonly rotations: number;
  /** For cert_expiry_seconds{resource_name}. */
  readonly expiries: readonly { readonly resourceName: string; readonly notAfter: Date }[];
}

/** Chooses the source once, at the start: files that are there, or the CA. */
export function createWorkloadIdentity(deps: WorkloadIdentityDeps): WorkloadIdentity {
  const { config, clock, log } = deps;
  const listeners = new Set<() => void>();
  const bundle = new TrustBundle(config.extraRoots, log);
  const watched: WatchedFiles[] = [];
  let certificate: Certificate | undefined;
  let rotations = 0;
  let trouble = "";
  let revocations: WatchedFiles | undefined;
  let cancelRootEnd: (() => void) | undefined;

  const tell = (): void => {
    writeOutput();
    for (const hear of listeners) hear();
  };
  const writeOutput = (): void => {
    const roots = bundle.pem(clock.wall());
    if (config.outputDirectory === undefined || certificate === undefined || roots === undefined) return;
    try {
      const set = new Map<string, string | Buffer>([
        ["cert-chain.pem", certificate.chain],
        ["key.pem", certificate.key.pem()],
        ["root-cert.pem", roots],
      ]);
      replaceFiles(config.outputDirectory, set, config.outputMode);
    } catch (error) {
      log.error("cannot write the certificate's files", { folder: config.outputDirectory, error });
    }
  };
  const use = (next: Certificate): void => {
    const lifetime = next.notAfter.getTime() - next.notBefore.getTime();
    const changedRoot = certificate !== undefined && certificate.root !== next.root;
    bundle.setOwn(next.root, lifetime, clock.wall());
    certificate = next;
    rotations += 1;
    trouble = "";
    log.info("new certificate", { serialNumber: next.serialNumber, notAfter: next.notAfter.toISOString() });
    if (changedRoot) {
      log.info("the root changed; the old one stays for a certificate's lifetime");
      cancelRootEnd?.();
      cancelRootEnd = clock.after(lifetime + 1_000, tell);
    }
    tell();
  };

  const mounted = mountedFiles(config);
  const rotation = createRotation({
    settings: config.certificate,
    identity: config.identity,
    ask: async (csr) => {
      const { requestCertificate } = await import("./ca-client.ts");
      return requestCertificate(config, csr, clock);
    },
    clock,
    random: deps.random,
    log,
    metrics: deps.metrics,
    onCertificate: use,
  });

  const useFiles = (files: CertificateFiles, texts: FileTexts): void => {
    try {
      const next = readMounted(files, texts);
      if (next.notAfter <= clock.wall()) log.warn("the mounted certificate has expired", { file: files.certificate });
      bundle.setFile(next.root);
      certificate = next;
      rotations += 1;
      trouble = "";
      tell();
    } catch (error) {
      trouble = describeError(error);
      deps.metrics.fileFailure();
      log.warn("the mounted certificate is not used, the old one stays", { reason: trouble });
    }
  };
  const watch = (paths: readonly string[], onChange: (texts: FileTexts) => void): WatchedFiles => {
    const files = watchFiles(paths, {
      clock,
      debounce: config.fileDebounce,
      onChange,
      onTrouble: (path, why) => {
        deps.metrics.watchFailure();
        log.warn("a watched file can't be read", { path, why });
      },
    });
    watched.push(files);
    return files;
  };

  return {
    start() {
      if (config.crlPath !== undefined) revocations = watch([config.crlPath], tell);
      if (mounted !== undefined) {
        const paths = [mounted.certificate, mounted.key, mounted.root];
        useFiles(mounted, watch(paths, (texts) => useFiles(mounted, texts)).texts);
        return;
      }
      rotation.start();
      // What may end a failure: a new token, a new root.
      const roots = config.ca.roots === "SYSTEM" ? [] : config.ca.roots;
      watch([config.tokenPath, ...roots], () => rotation.wake());
    },
    current: () => certificate,
    roots: () => bundle.pem(clock.wall()),
    revocations: () => (config.crlPath === undefined ? undefined : revocations?.texts.get(config.crlPath)),
    onChange(hear) {
      listeners.add(hear);
      return () => listeners.delete(hear);
    },
    setTrustBundle(roots) {
      if (bundle.setPushed(roots)) tell();
    },
    status: () =>
      statusOf(mounted !== undefined, config.identity, certificate, rotations, trouble, rotation.state(), clock.wall()),
    async stop() {
      cancelRootEnd?.();
      for (const files of watched) files.close();
      await rotation.stop();
    },
  };
}

/** Files that are used instead of the CA: those that FILE_MOUNTED_CERTS names, or a set that is there at the start. */
function mountedFiles({ source }: ControlPlaneConfig): CertificateFiles | undefined {
  const there = source.files.find(({ certificate, key }) => fileExists(certificate) && fileExists(key));
  return source.kind === "files" ? (there ?? source.files[0]) : there;
}

function readMounted(files: CertificateFiles, texts: FileTexts): Certificate {
  const text = (path: string): string => {
    const found = texts.get(path);
    if (found === undefined || found === "") throw new Error(`${path} is missing or empty`);
    return found;
  };
  return checkMounted(text(files.certificate), keyFrom(files.key, text(files.key)), text(files.root));
}

function keyFrom(path: string, pem: string) {
  try {
    return readPrivateKey(pem);
  } catch {
    // OpenSSL's own message is of no use to anybody, and its cause could quote the file.
    throw new Error(`${path} holds no private key that can be read`);
  }
}

function statusOf(
  fromFiles: boolean,
  identity: string,
  certificate: Certificate | undefined,
  rotations: number,
  trouble: string,
  rotation: RotationState,
  now: Date,
): IdentityStatus {
  const failure = trouble !== "" ? trouble : "lastFailure" in rotation ? (rotation.lastFailure ?? "") : "";
  const expired = certificate !== undefined && certificate.notAfter <= now;
  const state = certificate === undefined ? "waiting" : expired ? "expired" : "valid";
  const words = {
    waiting: `waiting for certificate${failure === "" ? "" : `: ${failure}`}`,
    expired: `certificate expired at ${certificate?.notAfter.toISOString() ?? ""}${failure === "" ? "" : `: ${failure}`}`,
    valid: failure,
  };
  return {
    source: fromFiles ? "files" : "ca",
    state,
    reason: words[state],
    identity: certificate?.uris[0] ?? identity,
    serialNumber: certificate?.serialNumber,
    notBefore: certificate?.notBefore,
    notAfter: certificate?.notAfter,
    renewAt: rotation.is === "holding" ? rotation.renewAt : undefined,
    rotations,
    expiries: certificate === undefined ? [] : [{ resourceName: "default", notAfter: certificate.notAfter }],
  };
}
