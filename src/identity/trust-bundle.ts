import type { Log } from "../foundation/log.ts";
import type { Millis } from "../foundation/time.ts";
import { readCertificates } from "./check-certificate.ts";

/** A root that came with a certificate, and until when it is kept. */
interface FormerRoot {
  readonly pem: string;
  readonly until: number;
}

/**
 * The roots that peers are checked against. New roots are added before old ones are dropped: when the CA changes its
 * root, peers still show certificates of the old one, so that one stays for a certificate's lifetime after it was seen
 * last. Roots from the configuration, from files and from the control plane's bundle (PCDS) count as long as their
 * source names them.
 */
export class TrustBundle {
  #own: string | undefined;
  #former: FormerRoot[] = [];
  #extra: readonly string[];
  #pushed: readonly string[] = [];
  readonly #log: Log;

  constructor(extra: readonly string[], log: Log) {
    this.#log = log;
    this.#extra = this.#readable(extra, "the configuration");
  }

  /** The root that came with the newest certificate. `lifetime`: of that certificate. */
  setOwn(pem: string, lifetime: Millis, now: Date): void {
    if (this.#own !== undefined && normal(this.#own) !== normal(pem))
      this.#former.push({ pem: this.#own, until: now.getTime() + lifetime });
    this.#own = pem;
  }

  /** Roots that a file names: what the file says counts at once. */
  setFile(pem: string): void {
    this.#own = pem;
    this.#former = [];
  }

  /** The control plane's bundle. Returns whether something changed. */
  setPushed(pems: readonly string[]): boolean {
    const next = this.#readable(pems, "the control plane's bundle");
    const changed = next.map(normal).join() !== this.#pushed.map(normal).join();
    this.#pushed = next;
    return changed;
  }

  /** All roots, each once, the own one first; undefined while there is none. */
  pem(now: Date): string | undefined {
    this.#former = this.#former.filter(({ until }) => until > now.getTime());
    const all = [
      ...(this.#own === undefined ? [] : [this.#own]),
      ...this.#former.map(({ pem }) => pem),
      ...this.#pushed,
      ...this.#extra,
    ];
    const blocks = new Map<string, string>();
    for (const block of all.flatMap(blocksOf)) {
      const known = blocks.get(normal(block));
      blocks.set(normal(block), known ?? block.replaceAll("\r", ""));
    }
    return blocks.size === 0 ? undefined : `${[...blocks.values()].join("\n")}\n`;
  }

  #readable(pems: readonly string[], source: string): readonly string[] {
    return pems.filter((pem) => {
      try {
        readCertificates(pem, source);
        return true;
      } catch (error) {
        this.#log.warn("a root certificate can't be read and is left out", { source, error });
        return false;
      }
    });
  }
}

const normal = (pem: string): string => pem.replace(/\s+/g, "");
const blocksOf = (pem: string): readonly string[] =>
  pem.match(/-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g) ?? [];
