import { describeError } from "../foundation/errors.ts";
import type { Log } from "../foundation/log.ts";
import type { Clock, Millis } from "../foundation/time.ts";
import { checkMounted, readCertificates } from "../identity/check-certificate.ts";
import { readPrivateKey } from "../identity/private-key.ts";
import { type FileTexts, type WatchedFiles, watchFiles } from "../identity/watched-files.ts";
import type { WorkloadIdentity } from "../identity/workload-identity.ts";
import { secret } from "../protocol/messages.ts";
import { systemRoots } from "../system/tls.ts";
import { readSecretName, type SecretName } from "./file-secret-names.ts";

/** A secret as it goes on the wire, with a version that changes when its bytes do. */
export interface StoredSecret {
  readonly name: string;
  readonly version: string;
  /** The message's bytes; hold a key. */
  readonly value: Buffer;
}

export interface SecretStoreDeps {
  readonly identity: WorkloadIdentity;
  readonly clock: Clock;
  readonly debounce: Millis;
  readonly log: Log;
  /** num_file_secret_failures_total */
  readonly onFileFailure: () => void;
}

interface Entry {
  readonly asked: SecretName;
  users: number;
  stored: StoredSecret | undefined;
  /** Why there is none, or why the files' new content is not used. */
  trouble: string;
  watched: WatchedFiles | undefined;
}

/** The secrets that somebody subscribed to: watched while they are used, pushed when their bytes change. */
export class SecretStore {
  readonly #deps: SecretStoreDeps;
  readonly #entries = new Map<string, Entry>();
  readonly #listeners = new Set<(name: string) => void>();
  readonly #forget: () => void;
  #versions = 0;

  constructor(deps: SecretStoreDeps) {
    this.#deps = deps;
    this.#forget = deps.identity.onChange(() => {
      // Roots first: a peer must be able to check the new certificate when it sees it.
      for (const name of ["ROOTCA", "default"]) this.#refresh(name);
    });
  }

  /** The secret as it is now; undefined while there is none. Only for names that are held. */
  get(name: string): StoredSecret | undefined {
    return this.#entries.get(name)?.stored;
  }

  /** Why a held name has no secret, or an old one. */
  trouble(name: string): string {
    return this.#entries.get(name)?.trouble ?? "";
  }

  /** Somebody wants this name from now on. */
  hold(name: string): void {
    const known = this.#entries.get(name);
    if (known !== undefined) {
      known.users += 1;
      return;
    }
    const asked = readSecretName(name);
    const entry: Entry = { asked, users: 1, stored: undefined, trouble: "", watched: undefined };
    this.#entries.set(name, entry);
    const paths = asked.is === "pair" ? [asked.certificate, asked.key] : asked.is === "root-file" ? [asked.path] : [];
    if (paths.length > 0) {
      entry.watched = watchFiles(paths, {
        clock: this.#deps.clock,
        debounce: this.#deps.debounce,
        onChange: () => this.#refresh(name),
        onTrouble: (path, why) => this.#deps.log.warn("a secret's file can't be read", { path, why }),
      });
    }
    this.#refresh(name);
  }

  /** Nobody of those who held it wants it any more. */
  release(name: string): void {
    const entry = this.#entries.get(name);
    if (entry === undefined) return;
    entry.users -= 1;
    if (entry.users > 0) return;
    entry.watched?.close();
    this.#entries.delete(name);
  }

  /** Hears of each name whose secret changed. */
  onChange(hear: (name: string) => void): () => void {
    this.#listeners.add(hear);
    return () => this.#listeners.delete(hear);
  }

  /** Names that somebody holds. */
  get names(): readonly string[] {
    return [...this.#entries.keys()];
  }

  close(): void {
    this.#forget();
    for (const { watched } of this.#entries.values()) watched?.close();
    this.#entries.clear();
    this.#listeners.clear();
  }

  #refresh(name: string): void {
    const entry = this.#entries.get(name);
    if (entry === undefined) return;
    try {
      const value = secretBytes(name, entry.asked, entry.watched?.texts ?? new Map(), this.#deps.identity);
      entry.trouble = value === undefined ? waitingFor(entry.asked, name) : "";
      if (value === undefined || entry.stored?.value.equals(value)) return;
      this.#versions += 1;
      entry.stored = { name, version: String(this.#versions), value };
      for (const hear of this.#listeners) hear(name);
    } catch (error) {
      entry.trouble = describeError(error);
      this.#deps.onFileFailure();
      const kept = entry.stored === undefined ? "there is none yet" : "the old one stays";
      this.#deps.log.warn("a secret's files are not used", { name, reason: entry.trouble, kept });
    }
  }
}

const waitingFor = (asked: SecretName, name: string): string =>
  asked.is === "unknown" ? `no secret is known by the name "${name}"` : "waiting for certificate";

/** A Secret message; undefined when its source has nothing yet. Throws when files don't belong together. */
function secretBytes(
  name: string,
  asked: SecretName,
  texts: FileTexts,
  identity: WorkloadIdentity,
): Buffer | undefined {
  const inline = (text: string | Buffer) => ({ inlineBytes: Buffer.from(text) });
  const pair = (chain: string, key: Buffer): Buffer =>
    secret.encode({ name, tlsCertificate: { certificateChain: inline(chain), privateKey: inline(key) } });
  const roots = (pem: string, crl?: string): Buffer =>
    secret.encode({
      name,
      validationContext: { trustedCa: inline(pem), ...(crl === undefined || crl === "" ? {} : { crl: inline(crl) }) },
    });
  switch (asked.is) {
    case "workload": {
      const certificate = identity.current();
      return certificate === undefined ? undefined : pair(certificate.chain, certificate.key.pem());
    }
    case "roots": {
      const pem = identity.roots();
      return pem === undefined ? undefined : roots(pem, identity.revocations());
    }
    case "system-roots":
      return roots(systemRoots());
    case "root-file": {
      const pem = textOf(texts, asked.path);
      readCertificates(pem, asked.path);
      return roots(pem);
    }
    case "pair": {
      const [chain, key] = [textOf(texts, asked.certificate), textOf(texts, asked.key)];
      // Checked before it is pushed: during a replacement the two may belong to different certificates.
      checkMounted(chain, readPrivateKey(key), chain);
      return pair(chain, Buffer.from(key));
    }
    case "unknown":
      return undefined;
  }
}

function textOf(texts: FileTexts, path: string): string {
  const text = texts.get(path);
  if (text === undefined || text === "") throw new Error(`${path} is missing or empty`);
  return text;
}
