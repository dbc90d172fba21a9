import { environmentForEnvoy } from "../process/envoy-command-line.ts";
import { fileDigest, fileIdentity } from "../system/content-digest.ts";
import { runProgram } from "../system/programs.ts";

/** Longest that a binary may take to tell its version: it is loaded from a cold disk, perhaps by a throttled processor. */
const VERSION_WITHIN = 10_000;
/** A few binaries are remembered: the one that serves, the new one, those that came and went meanwhile. */
const KEPT = 8;

/**
 * What is known of Envoy binaries. Every fact belongs to one identity of a file (device, inode, size, times), so a
 * replaced binary is another one, and asking twice costs a `stat`.
 */
export class BinaryFacts {
  readonly #environment: ReadonlyMap<string, string>;
  readonly #digests = new Map<string, string>();
  readonly #versions = new Map<string, string>();

  constructor(env: ReadonlyMap<string, string>) {
    this.#environment = environmentForEnvoy(env);
  }

  /** The `--hot-restart-version` of this identity as far as it was asked for. */
  knownVersion(identity: string | undefined): string | undefined {
    return identity === undefined ? undefined : this.#versions.get(identity);
  }

  /** Asks the binary, once an identity. Undefined when it does not say, or when it was replaced meanwhile. */
  async version(path: string): Promise<string | undefined> {
    const identity = fileIdentity(path);
    if (identity === undefined) return undefined;
    const known = this.#versions.get(identity);
    if (known !== undefined) return known;
    const { stdout, stderr } = await runProgram(path, ["--hot-restart-version"], {
      environment: this.#environment,
      timeout: VERSION_WITHIN,
      limit: 65_536,
    });
    if (fileIdentity(path) !== identity) return undefined;
    const version = versionIn(`${stderr}\n${stdout}`);
    // A silence is asked again: it may have been the machine's fault.
    if (version !== undefined) remember(this.#versions, identity, version);
    return version;
  }

  /**
   * Whether a running process is this binary: by the identity that it was started from, else by content, which the
   * process still holds when its file was replaced. False when one of them cannot be read.
   */
  async runs(pid: number, startedFrom: string | undefined, path: string): Promise<boolean> {
    if (startedFrom !== undefined && startedFrom === fileIdentity(path)) return true;
    const [running, there] = [await this.#digest(`/proc/${pid}/exe`), await this.#digest(path)];
    return running !== undefined && running === there;
  }

  async #digest(path: string): Promise<string | undefined> {
    const identity = fileIdentity(path);
    const known = identity === undefined ? undefined : this.#digests.get(identity);
    if (known !== undefined) return known;
    try {
      const found = await fileDigest(path);
      if (found !== undefined) remember(this.#digests, found.identity, found.digest);
      return found?.digest;
    } catch {
      return undefined;
    }
  }
}

/** `11.104` in a line of its own. Envoy prints it to standard error. */
export function versionIn(text: string): string | undefined {
  return /^\s*(\d+(?:\.\d+)+)\s*$/m.exec(text)?.[1];
}

function remember<T>(map: Map<string, T>, key: string, value: T): void {
  map.set(key, value);
  for (const old of map.keys()) if (map.size > KEPT) map.delete(old);
}

/** In words, for a path whose binary was replaced while it was looked at. */
export const replacedMeanwhile = (path: string): string =>
  `"${path}" was replaced while it was being checked; ask again when it stands still`;
