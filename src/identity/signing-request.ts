import { createPublicKey, sign } from "node:crypto";
import {
  altNames,
  bits,
  extension,
  integer,
  oid,
  oids,
  sequence,
  set,
  signatureAlgorithm,
  tagged,
  toPem,
} from "../protocol/der.ts";
import { type PrivateKey, signatureKind } from "./private-key.ts";

/**
 * A PKCS#10 request with an empty subject and one URI name, as PEM. The name is critical because the subject is empty
 * (RFC 5280 4.2.1.6; features.md 3.2).
 */
export function signingRequest(key: PrivateKey, uri: string): string {
  const kind = signatureKind(key.object);
  const publicKey = createPublicKey(key.object).export({ format: "der", type: "spki" });
  const names = extension(oids.subjectAltName, true, altNames({ uris: [uri] }));
  const attributes = tagged(0, sequence(oid(oids.extensionRequest), set(sequence(names))));
  const info = sequence(integer(0), sequence(), publicKey, attributes);
  const signature = sign(kind === "p384" ? "sha384" : "sha256", info, key.object);
  return toPem("CERTIFICATE REQUEST", sequence(info, signatureAlgorithm(kind), bits(signature)));
}

/** `spiffe://TRUST_DOMAIN/ns/NAMESPACE/sa/SERVICE_ACCOUNT`. */
export const spiffeId = (trustDomain: string, namespace: string, serviceAccount: string): string =>
  `spiffe://${trustDomain}/ns/${namespace}/sa/${serviceAccount}`;
