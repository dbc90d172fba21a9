/** What a secret's name asks for (features.md 3.4). */
export type SecretName =
  | { readonly is: "workload" }
  | { readonly is: "roots" }
  /** `file-cert:CERT~KEY` */
  | { readonly is: "pair"; readonly certificate: string; readonly key: string }
  /** `file-root:CA` */
  | { readonly is: "root-file"; readonly path: string }
  /** `file-root:system` */
  | { readonly is: "system-roots" }
  | { readonly is: "unknown" };

export function readSecretName(name: string): SecretName {
  if (name === "default") return { is: "workload" };
  if (name === "ROOTCA") return { is: "roots" };
  if (name === "file-root:system") return { is: "system-roots" };
  const root = /^file-root:(.+)$/.exec(name)?.[1];
  if (root !== undefined) return { is: "root-file", path: root };
  const [, certificate, key] = /^file-cert:([^~]+)~([^~]+)$/.exec(name) ?? [];
  if (certificate !== undefined && key !== undefined) return { is: "pair", certificate, key };
  return { is: "unknown" };
}
