import { X509Certificate } from "node:crypto";
import { Refused } from "../foundation/errors.ts";
import type { Certificate } from "./certificate.ts";
import type { PrivateKey } from "./private-key.ts";

/** All certificates of a PEM text, in order. Throws Refused when one can't be read or there is none. */
export function readCertificates(pem: string, what: string): readonly X509Certificate[] {
  const blocks = pem.match(/-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g) ?? [];
  if (blocks.length === 0) throw new Refused(`cannot use ${what}: it holds no PEM certificate`);
  return blocks.map((block) => {
    try {
      return new X509Certificate(block);
    } catch (error) {
      throw new Refused(`cannot use ${what}: a certificate in it can't be read`, { cause: error });
    }
  });
}

/** URI names of a certificate. */
export const urisOf = (certificate: X509Certificate): readonly string[] =>
  (certificate.subjectAltName ?? "")
    .split(", ")
    .filter((name) => name.startsWith("URI:"))
    .map((name) => name.slice(4));

/**
 * Checks what a CA answered before it is used: at least leaf and root, our key, our name, each signed by the next,
 * nothing expired. Throws Refused with the reason.
 */
export function checkIssued(
  chain: readonly string[],
  expected: { readonly key: PrivateKey; readonly identity: string; readonly now: Date },
): Certificate {
  const no = (why: string): never => {
    throw new Refused(`cannot use the CA's answer: ${why}`);
  };
  const last = chain.at(-1);
  if (last === undefined || chain.length < 2)
    return no(`it has ${chain.length} certificates; a leaf and a root are the least`);
  const path = chain.slice(0, -1).flatMap((pem) => readCertificates(pem, "the CA's answer"));
  // While a mesh changes its root, the last entry holds the old one and the new one.
  const roots = readCertificates(last, "the CA's answer");
  const [leaf] = path;
  if (leaf === undefined) return no("it has no leaf");
  if (!leaf.checkPrivateKey(expected.key.object)) no("its certificate is for another key than ours");
  const uris = urisOf(leaf);
  if (!uris.includes(expected.identity)) no(`it is for "${uris.join()}", we are "${expected.identity}"`);
  const problem = pathProblem(path, roots, expected.now);
  if (problem !== undefined) no(problem);
  return {
    chain: path.map(pemOf).join(""),
    key: expected.key,
    root: roots.map(pemOf).join(""),
    notBefore: leaf.validFromDate,
    notAfter: leaf.validToDate,
    serialNumber: leaf.serialNumber.toLowerCase(),
    uris,
  };
}

/** Node's PEM has no newline at its end in all versions. */
export const pemOf = (certificate: X509Certificate): string => `${certificate.toString().trimEnd()}\n`;

/** Why these do not lead from the leaf to one of the roots; undefined when they do. */
function pathProblem(
  path: readonly X509Certificate[],
  roots: readonly X509Certificate[],
  now: Date,
): string | undefined {
  for (const [index, one] of path.entries()) {
    if (one.validToDate <= now) return `${nameOf(one, index)} expired at ${one.validToDate.toISOString()}`;
    const next = path[index + 1];
    const signed = next === undefined ? roots.some((root) => isSignedBy(one, root)) : isSignedBy(one, next);
    if (!signed) return `${nameOf(one, index)} is not signed by the next one: the chain does not lead to its root`;
  }
  if (roots.every((root) => root.validToDate <= now)) return "every root in it has expired";
  return undefined;
}

const isSignedBy = (one: X509Certificate, issuer: X509Certificate): boolean =>
  issuer.ca && one.checkIssued(issuer) && one.verify(issuer.publicKey);

const nameOf = (certificate: X509Certificate, index: number): string =>
  index === 0 ? "the certificate" : `certificate ${index + 1} ("${certificate.subject.replaceAll("\n", ", ")}")`;

/**
 * Checks a certificate from files: the key belongs to it. Nothing is said about its names or its date: the operator
 * chose it. Throws Refused.
 */
export function checkMounted(chain: string, key: PrivateKey, root: string): Certificate {
  const certificates = readCertificates(chain, "the certificate file");
  const [leaf] = certificates;
  if (leaf === undefined || !leaf.checkPrivateKey(key.object))
    throw new Refused("cannot use the certificate file: its key file belongs to another certificate");
  readCertificates(root, "the root certificate file");
  return {
    chain,
    key,
    root,
    notBefore: leaf.validFromDate,
    notAfter: leaf.validToDate,
    serialNumber: leaf.serialNumber.toLowerCase(),
    uris: urisOf(leaf),
  };
}
