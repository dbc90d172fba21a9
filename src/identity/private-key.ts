import { createPrivateKey, generateKeyPair, type KeyObject } from "node:crypto";
import { promisify } from "node:util";

/** What key to make: features.md CERT-11. RSA is the peer's default. */
export type KeyKind =
  | { readonly type: "rsa" /** 2048 or more. */; readonly bits: number }
  | { readonly type: "ecdsa"; readonly curve: "P256" | "P384" };

/** A private key that can't be printed: neither JSON nor util.inspect nor a log line shows anything of it. */
export class PrivateKey {
  readonly #key: KeyObject;
  readonly #pkcs8: boolean;

  constructor(key: KeyObject, pkcs8: boolean) {
    this.#key = key;
    this.#pkcs8 = pkcs8;
  }

  /** For signing with node:crypto. */
  get object(): KeyObject {
    return this.#key;
  }

  /** PKCS#8, or the traditional form of its kind (PKCS#1, SEC1), as Envoy and files get it. */
  pem(): Buffer {
    const traditional = this.#key.asymmetricKeyType === "rsa" ? ("pkcs1" as const) : ("sec1" as const);
    const text = this.#pkcs8
      ? this.#key.export({ format: "pem", type: "pkcs8" })
      : this.#key.export({ format: "pem", type: traditional });
    return Buffer.from(text);
  }

  toJSON(): string {
    return "[private key]";
  }

  toString(): string {
    return "[private key]";
  }

  [Symbol.for("nodejs.util.inspect.custom")](): string {
    return "[private key]";
  }
}

const generate = promisify(generateKeyPair);

/** Makes a key. RSA takes some ten milliseconds, in libuv's pool and not on the event loop. */
export async function makePrivateKey(kind: KeyKind, pkcs8: boolean): Promise<PrivateKey> {
  const pair =
    kind.type === "rsa"
      ? await generate("rsa", { modulusLength: kind.bits })
      : await generate("ec", { namedCurve: kind.curve === "P256" ? "P-256" : "P-384" });
  return new PrivateKey(pair.privateKey, pkcs8);
}

/** A key from PEM text. Throws Node's error, which names no content. */
export const readPrivateKey = (pem: string | Buffer): PrivateKey => new PrivateKey(createPrivateKey(pem), true);

/** How this key signs, for DER. */
export function signatureKind(key: KeyObject): "rsa" | "p256" | "p384" {
  if (key.asymmetricKeyType === "rsa") return "rsa";
  return key.asymmetricKeyDetails?.namedCurve === "secp384r1" ? "p384" : "p256";
}
