import { X509Certificate } from "node:crypto";
import type { ControlPlaneConfig, Upstream } from "../config/control-plane-config.ts";
import { Refused } from "../foundation/errors.ts";
import { readText } from "../system/files.ts";
import { systemRoots, type TlsClient } from "../system/tls.ts";
import { readToken, type Token } from "./token.ts";

/** How the next connection proves who we are and whom it trusts: read from the files at every connection. */
export interface UpstreamCredentials {
  readonly tls: TlsClient | undefined;
  /** Metadata of a call: clusterid, authorization, CA_HEADER_* or XDS_HEADER_*. */
  readonly metadata: readonly (readonly [name: string, value: string])[];
  /** When the token or client certificate ends; undefined when nothing ends. */
  readonly expires: Date | undefined;
  /** Tells whether the files say something else now. Holds no secret. */
  readonly token: Token | undefined;
}

/** Throws Refused when no roots are there: without them nobody can be trusted. */
export function upstreamCredentials(config: ControlPlaneConfig, upstream: Upstream, now: Date): UpstreamCredentials {
  const client = upstream.tls ? validClientCertificate(upstream, now) : undefined;
  const token = client === undefined ? readToken(config.tokenPath) : undefined;
  const metadata = [
    ["clusterid", config.clusterId] as const,
    ...(token === undefined ? [] : [["authorization", `Bearer ${token.text}`] as const]),
    ...upstream.headers,
  ];
  return {
    tls: upstream.tls
      ? {
          serverName: upstream.serverName,
          roots: rootsOf(upstream),
          ...(client === undefined ? {} : { certificate: client.certificate, key: client.key }),
        }
      : undefined,
    metadata,
    expires: client?.expires ?? token?.expires,
    token,
  };
}

/**
 * Whether the files hold another proof of who we are by now, for the next connection to use. False, too, when they hold
 * none, or no roots: nothing would be won by another connection.
 */
export function hasNewProof(
  used: UpstreamCredentials,
  config: ControlPlaneConfig,
  upstream: Upstream,
  now: Date,
): boolean {
  const proofOf = ({ tls, token }: UpstreamCredentials): string => String(tls?.certificate ?? token?.text ?? "");
  try {
    const next = proofOf(upstreamCredentials(config, upstream, now));
    return next !== "" && next !== proofOf(used);
  } catch {
    return false;
  }
}

/** What it is that ends, for a log line. */
export const proofName = ({ token }: UpstreamCredentials): string =>
  token === undefined ? "client certificate" : "token";

function rootsOf({ roots }: Upstream): string {
  if (roots === "SYSTEM") return systemRoots();
  for (const path of roots) {
    const text = readText(path);
    if (text?.includes("BEGIN CERTIFICATE")) return text;
  }
  throw new Refused(`cannot trust the control plane: none of ${roots.join(", ")} holds a root certificate`);
}

/** PROV_CERT counts while it is valid; then the token does (features.md 3.1). */
function validClientCertificate(
  { clientCertificate }: Upstream,
  now: Date,
): { readonly certificate: string; readonly key: string; readonly expires: Date } | undefined {
  if (clientCertificate === undefined) return undefined;
  const [certificate, key] = [readText(clientCertificate.certificate), readText(clientCertificate.key)];
  if (certificate === undefined || key === undefined) return undefined;
  try {
    const expires = new X509Certificate(certificate).validToDate;
    return expires > now ? { certificate, key, expires } : undefined;
  } catch {
    return undefined;
  }
}
