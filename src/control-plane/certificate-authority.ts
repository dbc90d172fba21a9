import {
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  randomBytes,
  sign,
  verify,
} from "node:crypto";
import {
  altNames,
  bits,
  boolean,
  children,
  der,
  extension,
  fromPem,
  integer,
  octets,
  oid,
  oids,
  readElement,
  sequence,
  set,
  signatureAlgorithm,
  tagged,
  time,
  toPem,
  utf8,
} from "../protocol/der.ts";

/** A certificate with its key, both PEM. */
export interface KeyPair {
  readonly certificate: string;
  readonly key: string;
}

/** A CA's own material. */
export interface Authority {
  readonly root: KeyPair;
  readonly intermediate: KeyPair;
}

export interface CertificatePlan {
  readonly subject: string;
  readonly notBefore: Date;
  readonly notAfter: Date;
  /** DER, SubjectPublicKeyInfo. */
  readonly publicKey: Buffer;
  readonly ca: boolean;
  readonly uris?: readonly string[];
  readonly dns?: readonly string[];
  readonly ips?: readonly string[];
}

export interface Issuer {
  readonly subject: string;
  readonly key: KeyObject;
}

const SECOND = 1_000;
const DAY = 86_400 * SECOND;
/** Clocks of two machines differ a little: what we sign is valid from a moment before. */
const BACKDATED = 60 * SECOND;

const name = (text: string): Buffer =>
  text === "" ? sequence() : sequence(set(sequence(oid(oids.commonName), utf8(text))));

const keyId = (spki: Buffer): Buffer => createHash("sha1").update(spki).digest();

/** Signs a certificate; DER. Keys of the issuer are P-256. */
export function signCertificate(plan: CertificatePlan, issuer: Issuer): Buffer {
  const algorithm = signatureAlgorithm("p256");
  const names = altNames(plan);
  const hasNames = (plan.uris ?? plan.dns ?? plan.ips) !== undefined;
  const issuerId = keyId(createPublicKey(issuer.key).export({ format: "der", type: "spki" }));
  // Bits from the left: digitalSignature 0, keyEncipherment 2, keyCertSign 5, cRLSign 6.
  const usage = plan.ca ? Buffer.from([0x01, 0x06]) : Buffer.from([0x05, 0xa0]);
  const extensions = [
    extension(oids.keyUsage, true, der(0x03, usage)),
    extension(oids.basicConstraints, true, plan.ca ? sequence(boolean(true)) : sequence()),
    extension(oids.subjectKeyIdentifier, false, octets(keyId(plan.publicKey))),
    extension(oids.authorityKeyIdentifier, false, sequence(der(0x80, issuerId))),
    ...(plan.ca ? [] : [extension(oids.extendedKeyUsage, false, sequence(oid(oids.serverAuth), oid(oids.clientAuth)))]),
    ...(hasNames ? [extension(oids.subjectAltName, plan.subject === "", names)] : []),
  ];
  const body = sequence(
    tagged(0, integer(2)),
    integer(Buffer.concat([Buffer.from([0x01]), randomBytes(15)])),
    algorithm,
    name(issuer.subject),
    sequence(time(plan.notBefore), time(plan.notAfter)),
    name(plan.subject),
    plan.publicKey,
    tagged(3, sequence(...extensions)),
  );
  return sequence(body, algorithm, bits(sign("sha256", body, issuer.key)));
}

const newKey = (): { readonly key: KeyObject; readonly spki: Buffer; readonly pem: string } => {
  const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  return {
    key: privateKey,
    spki: publicKey.export({ format: "der", type: "spki" }),
    pem: privateKey.export({ format: "pem", type: "pkcs8" }).toString(),
  };
};

const ROOT = "pilotfish development root";
const INTERMEDIATE = "pilotfish development intermediate";

/** Makes a root and an intermediate, valid for ten years and one year from `now`. */
export function makeAuthority(now: Date, suffix = ""): Authority {
  const [rootKey, intermediateKey] = [newKey(), newKey()];
  const notBefore = new Date(now.getTime() - BACKDATED);
  const rootName = ROOT + suffix;
  const issuer = { subject: rootName, key: rootKey.key };
  const years = (count: number): Date => new Date(now.getTime() + count * 365 * DAY);
  const root = signCertificate(
    { subject: rootName, notBefore, notAfter: years(10), publicKey: rootKey.spki, ca: true },
    issuer,
  );
  const intermediate = signCertificate(
    { subject: INTERMEDIATE + suffix, notBefore, notAfter: years(1), publicKey: intermediateKey.spki, ca: true },
    issuer,
  );
  return {
    root: { certificate: toPem("CERTIFICATE", root), key: rootKey.pem },
    intermediate: { certificate: toPem("CERTIFICATE", intermediate), key: intermediateKey.pem },
  };
}

export interface Names {
  readonly uris?: readonly string[];
  readonly dns?: readonly string[];
  readonly ips?: readonly string[];
}

/** Issues a certificate with the authority's intermediate; the result is PEM, leaf only. */
export function issue(
  authority: Authority,
  publicKey: Buffer,
  names: Names,
  valid: { readonly from: Date; readonly to: Date },
): string {
  const subject = subjectOf(authority.intermediate.certificate);
  const leaf = signCertificate(
    { subject: "", notBefore: valid.from, notAfter: valid.to, publicKey, ca: false, ...names },
    { subject, key: createPrivateKey(authority.intermediate.key) },
  );
  return toPem("CERTIFICATE", leaf);
}

/** A key and a certificate for it, chain included (leaf and intermediate), in one go. */
export function issuePair(
  authority: Authority,
  names: Names,
  valid: { readonly from: Date; readonly to: Date },
): KeyPair {
  const fresh = newKey();
  const leaf = issue(authority, fresh.spki, names, valid);
  return { certificate: leaf + authority.intermediate.certificate, key: fresh.pem };
}

/** The common name of a certificate that this file made. */
function subjectOf(pem: string): string {
  const [bytes] = fromPem("CERTIFICATE", pem);
  if (bytes === undefined) throw new Error("cannot read the CA's certificate: it is not PEM");
  const [body] = children(readElement(bytes));
  const subject = body === undefined ? undefined : children(body)[5];
  const [rdn] = subject === undefined ? [] : children(subject);
  const [attribute] = rdn === undefined ? [] : children(rdn);
  const value = attribute === undefined ? undefined : children(attribute)[1];
  return value?.content.toString("utf8") ?? "";
}

/** What a signing request asks for. */
export interface SigningRequest {
  /** DER, SubjectPublicKeyInfo. */
  readonly publicKey: Buffer;
  readonly uris: readonly string[];
}

/** Reads a PKCS#10 request and checks its signature. Throws "cannot sign: …" for anything else. */
export function readSigningRequest(pem: string): SigningRequest {
  const [bytes] = fromPem("CERTIFICATE REQUEST", pem);
  if (bytes === undefined) throw new Error("cannot sign: the request is not PEM");
  try {
    const [info, algorithm, signature] = children(readElement(bytes));
    if (!info || !algorithm || !signature) throw new Error("it is not PKCS#10");
    const [, , spki, attributes] = children(info);
    if (!spki) throw new Error("it has no public key");
    const key = createPublicKey({ key: spki.whole, format: "der", type: "spki" });
    const isP384 = algorithm.whole.equals(signatureAlgorithm("p384"));
    if (!verify(isP384 ? "sha384" : "sha256", info.whole, key, signature.content.subarray(1)))
      throw new Error("its signature is wrong");
    return { publicKey: spki.whole, uris: attributes ? urisIn(attributes.content) : [] };
  } catch (error) {
    throw new Error(`cannot sign: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
  }
}

/** The URI names of an extension request: attributes hold SEQUENCE { oid, SET { SEQUENCE of extensions } }. */
function urisIn(attributes: Buffer): readonly string[] {
  const wanted = oid(oids.subjectAltName);
  const [, values] = children(readElement(attributes));
  const [list] = values === undefined ? [] : children(values);
  for (const one of list === undefined ? [] : children(list)) {
    const parts = children(one);
    const value = parts.at(-1);
    if (!parts[0]?.whole.equals(wanted) || value === undefined) continue;
    return children(readElement(value.content))
      .filter(({ tag }) => tag === 0x86)
      .map(({ content }) => content.toString("latin1"));
  }
  return [];
}
