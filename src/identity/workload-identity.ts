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
export const createWorkloadIdentity = (deps: WorkloadIdentityDeps): WorkloadIdentity => new KeptIdentity(deps);

class KeptIdentity implements WorkloadIdentity {
  readonly #deps: WorkloadIdentityDeps;
  readonly #listeners = new Set<() => void>();
  readonly #bundle: TrustBundle;
  readonly #watched: WatchedFiles[] = [];
  readonly #mounted: CertificateFiles | undefined;
  readonly #rotation: ReturnType<typeof createRotation>;
  #certificate: Certificate | undefined;
  #rotations = 0;
  #trouble = "";
  #revocations: WatchedFiles | undefined;
  #cancelRootEnd: (() => void) | undefined;

  constructor(deps: WorkloadIdentityDeps) {
    const { config, clock, log, metrics, random } = deps;
    this.#deps = deps;
    this.#bundle = new TrustBundle(config.extraRoots, log);
    this.#mounted = mountedFiles(config);
    this.#rotation = createRotation({
      settings: config.certificate,
      identity: config.identity,
      ask: async (csr) => {
        const { requestCertificate } = await import("./ca-client.ts");
        return requestCertificate(config, csr, clock);
      },
      ...{ clock, random, log, metrics },
      onCertificate: (certificate) => this.#useIssued(certificate),
    });
  }

  start(): void {
    const { config } = this.#deps;
    if (config.crlPath !== undefined) this.#revocations = this.#watch([config.crlPath], () => this.#tell());
    const files = this.#mounted;
    if (files !== undefined) {
      const paths = [files.certificate, files.key, files.root];
      this.#useFiles(files, this.#watch(paths, (texts) => this.#useFiles(files, texts)).texts);
      return;
    }
    this.#rotation.start();
    // What may end a failure: a new token, a new root.
    const roots = config.ca.roots === "SYSTEM" ? [] : config.ca.roots;
    this.#watch([config.tokenPath, ...roots], () => this.#rotation.wake());
  }

  current(): Certificate | undefined {
    return this.#certificate;
  }

  roots(): string | undefined {
    return this.#bundle.pem(this.#deps.clock.wall());
  }

  revocations(): string | undefined {
    const { crlPath } = this.#deps.config;
    return crlPath === undefined ? undefined : this.#revocations?.texts.get(crlPath);
  }

  onChange(hear: () => void): () => void {
    this.#listeners.add(hear);
    return () => this.#listeners.delete(hear);
  }

  setTrustBundle(roots: readonly string[]): void {
    if (this.#bundle.setPushed(roots)) this.#tell();
  }

  status(): IdentityStatus {
    return statusOf({
      fromFiles: this.#mounted !== undefined,
      identity: this.#deps.config.identity,
      certificate: this.#certificate,
      rotations: this.#rotations,
      trouble: this.#trouble,
      rotation: this.#rotation.state(),
      now: this.#deps.clock.wall(),
    });
  }

  async stop(): Promise<void> {
    this.#cancelRootEnd?.();
    for (const files of this.#watched) files.close();
    await this.#rotation.stop();
  }

  #tell(): void {
    this.#writeOutput();
    for (const hear of this.#listeners) hear();
  }

  #writeOutput(): void {
    const { config, log } = this.#deps;
    const roots = this.roots();
    if (config.outputDirectory === undefined || this.#certificate === undefined || roots === undefined) return;
    try {
      const set = new Map<string, string | Buffer>([
        ["cert-chain.pem", this.#certificate.chain],
        ["key.pem", this.#certificate.key.pem()],
        ["root-cert.pem", roots],
      ]);
      replaceFiles(config.outputDirectory, set, config.outputMode);
    } catch (error) {
      log.error("cannot write the certificate's files", { folder: config.outputDirectory, error });
    }
  }

  #useIssued(next: Certificate): void {
    const { clock, log } = this.#deps;
    const lifetime = next.notAfter.getTime() - next.notBefore.getTime();
    const changedRoot = this.#certificate !== undefined && this.#certificate.root !== next.root;
    this.#bundle.setOwn(next.root, lifetime, clock.wall());
    log.info("new certificate", { serialNumber: next.serialNumber, notAfter: next.notAfter.toISOString() });
    if (changedRoot) {
      log.info("the root changed; the old one stays for a certificate's lifetime");
      this.#cancelRootEnd?.();
      this.#cancelRootEnd = clock.after(lifetime + 1_000, () => this.#tell());
    }
    this.#use(next);
  }

  #useFiles(files: CertificateFiles, texts: FileTexts): void {
    const { clock, log, metrics } = this.#deps;
    try {
      const next = readMounted(files, texts);
      if (next.notAfter <= clock.wall()) log.warn("the mounted certificate has expired", { file: files.certificate });
      this.#bundle.setFile(next.root);
      this.#use(next);
    } catch (error) {
      this.#trouble = describeError(error);
      metrics.fileFailure();
      log.warn("the mounted certificate is not used, the old one stays", { reason: this.#trouble });
    }
  }

  /** The only place where the certificate in use is replaced. */
  #use(next: Certificate): void {
    this.#certificate = next;
    this.#rotations += 1;
    this.#trouble = "";
    this.#tell();
  }

  #watch(paths: readonly string[], onChange: (texts: FileTexts) => void): WatchedFiles {
    const { clock, config, metrics, log } = this.#deps;
    const files = watchFiles(paths, {
      clock,
      debounce: config.fileDebounce,
      onChange,
      onTrouble: (path, why) => {
        metrics.watchFailure();
        log.warn("a watched file can't be read", { path, why });
      },
    });
    this.#watched.push(files);
    return files;
  }
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

interface StatusFacts {
  readonly fromFiles: boolean;
  readonly identity: string;
  readonly certificate: Certificate | undefined;
  readonly rotations: number;
  readonly trouble: string;
  readonly rotation: RotationState;
  readonly now: Date;
}

function statusOf(facts: StatusFacts): IdentityStatus {
  const { certificate, rotation, rotations } = facts;
  const expired = certificate !== undefined && certificate.notAfter <= facts.now;
  const state = certificate === undefined ? "waiting" : expired ? "expired" : "valid";
  return {
    source: facts.fromFiles ? "files" : "ca",
    state,
    reason: reasonOf(facts, state),
    identity: certificate?.uris[0] ?? facts.identity,
    serialNumber: certificate?.serialNumber,
    notBefore: certificate?.notBefore,
    notAfter: certificate?.notAfter,
    renewAt: rotation.is === "holding" ? rotation.renewAt : undefined,
    rotations,
    expiries: certificate === undefined ? [] : [{ resourceName: "default", notAfter: certificate.notAfter }],
  };
}

function reasonOf({ certificate, rotation, trouble }: StatusFacts, state: IdentityStatus["state"]): string {
  const failure = trouble !== "" ? trouble : "lastFailure" in rotation ? (rotation.lastFailure ?? "") : "";
  if (state === "valid") return failure;
  const stage =
    state === "waiting"
      ? "waiting for certificate"
      : `certificate expired at ${certificate?.notAfter.toISOString() ?? ""}`;
  return failure === "" ? stage : `${stage}: ${failure}`;
}
