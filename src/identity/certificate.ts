import type { PrivateKey } from "./private-key.ts";

/** A certificate that is used: checked, with its key and the roots that came with it. */
export interface Certificate {
  /** PEM: leaf first, then intermediates, no root. */
  readonly chain: string;
  readonly key: PrivateKey;
  /** PEM of the root that it leads to. */
  readonly root: string;
  readonly notBefore: Date;
  readonly notAfter: Date;
  /** Hexadecimal, as Envoy's /certs shows it. */
  readonly serialNumber: string;
  /** The URI names of the leaf. */
  readonly uris: readonly string[];
}
