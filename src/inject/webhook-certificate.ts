import { createPrivateKey, generateKeyPairSync, type KeyObject, X509Certificate } from "node:crypto";
import { join } from "node:path";
import { signCertificate } from "../control-plane/certificate-authority.ts";
import { describeError, Unavailable } from "../foundation/errors.ts";
import { toPem } from "../protocol/der.ts";
import { ensureDirectory, readText, writeWhole } from "../system/files.ts";
import type { TlsMaterial } from "./webhook-server.ts";

/** Files of a certificate that we make ourselves, in a folder. `ca.crt` is what the cluster must be told (caBundle). */
export const ownFiles = { ca: "ca.crt", caKey: "ca.key", certificate: "tls.crt", key: "tls.key" } as const;

const DAY = 86_400_000;
const AUTHORITY = "pilotfish webhook";

/** Certificate and key as they stand in files; throws Unavailable with the reason when they do not fit together. */
export function tlsFrom(certificate: string | undefined, key: string | undefined, names: string): TlsMaterial {
  if (certificate === undefined || key === undefined) {
    throw new Unavailable(`cannot serve TLS: ${names} is not there; mount it, or use --self-made`);
  }
  try {
    const leaf = new X509Certificate(certificate);
    if (!leaf.checkPrivateKey(createPrivateKey(key))) throw new Error("the key is not the certificate's");
    return { certificate, key, ends: new Date(leaf.validTo) };
  } catch (error) {
    throw new Unavailable(`cannot serve TLS with ${names}: ${describeError(error)}`);
  }
}

/**
 * Makes what is missing, ended or about to end in `folder`: a CA of ten years, a serving certificate of one year for
 * the names. The CA stays as long as it can, so that the cluster's caBundle stays true. Says what it wrote.
 */
export function ensureOwnCertificate(folder: string, hosts: readonly string[], now: Date): readonly string[] {
  ensureDirectory(folder, 0o700);
  const path = (name: keyof typeof ownFiles): string => join(folder, ownFiles[name]);
  const kept = keptAuthority(path, now);
  const authority = kept ?? makeAuthority(path, now);
  const made = kept === undefined ? [path("ca"), path("caKey")] : [];
  if (kept !== undefined && serves(path, kept.certificate, hosts, now)) return [];
  const pair = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const certificate = signCertificate(
    {
      subject: "",
      notBefore: new Date(now.getTime() - 60_000),
      notAfter: new Date(now.getTime() + 365 * DAY),
      publicKey: pair.publicKey.export({ format: "der", type: "spki" }),
      ca: false,
      ...names(hosts),
    },
    { subject: AUTHORITY, key: authority.key },
  );
  writeWhole(path("key"), pem(pair.privateKey), 0o600);
  writeWhole(path("certificate"), toPem("CERTIFICATE", certificate), 0o644);
  return [...made, path("certificate"), path("key")];
}

const pem = (key: KeyObject): string => key.export({ format: "pem", type: "pkcs8" }).toString();

const isAddress = (host: string): boolean => /^\d+(\.\d+){3}$/.test(host);
const names = (hosts: readonly string[]) => ({
  dns: hosts.filter((host) => !isAddress(host)),
  ips: hosts.filter(isAddress),
});

type PathOf = (name: keyof typeof ownFiles) => string;

interface OwnAuthority {
  readonly certificate: X509Certificate;
  readonly key: KeyObject;
}

function keptAuthority(path: PathOf, now: Date): OwnAuthority | undefined {
  try {
    const certificate = new X509Certificate(readText(path("ca")) ?? "");
    const key = createPrivateKey(readText(path("caKey")) ?? "");
    // A serving certificate lives a year: a CA that does not is replaced now.
    const lasts = new Date(certificate.validTo).getTime() > now.getTime() + 366 * DAY;
    return lasts && certificate.checkPrivateKey(key) ? { certificate, key } : undefined;
  } catch {
    return undefined;
  }
}

function makeAuthority(path: PathOf, now: Date): OwnAuthority {
  const pair = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const bytes = signCertificate(
    {
      subject: AUTHORITY,
      notBefore: new Date(now.getTime() - 60_000),
      notAfter: new Date(now.getTime() + 3_650 * DAY),
      publicKey: pair.publicKey.export({ format: "der", type: "spki" }),
      ca: true,
    },
    { subject: AUTHORITY, key: pair.privateKey },
  );
  writeWhole(path("caKey"), pem(pair.privateKey), 0o600);
  writeWhole(path("ca"), toPem("CERTIFICATE", bytes), 0o644);
  return { certificate: new X509Certificate(bytes), key: pair.privateKey };
}

/** Whether the serving certificate there is signed by the CA, for these names, and good for a third of its life. */
function serves(path: PathOf, authority: X509Certificate, hosts: readonly string[], now: Date): boolean {
  try {
    const leaf = new X509Certificate(readText(path("certificate")) ?? "");
    const named = hosts.every((host) => (isAddress(host) ? leaf.checkIP(host) : leaf.checkHost(host)) !== undefined);
    const key = createPrivateKey(readText(path("key")) ?? "");
    const lasts = new Date(leaf.validTo).getTime() > now.getTime() + 122 * DAY;
    return named && lasts && leaf.checkPrivateKey(key) && leaf.verify(authority.publicKey);
  } catch {
    return false;
  }
}
