import { grpcStatus, statusName } from "../protocol/grpc-status.ts";
import type { Token } from "./token.ts";

/** Why the CA gave no certificate: one sentence with what to do, and gRPC's code for the retry. */
export interface CaFailure {
  readonly code: number;
  readonly reason: string;
}

interface Asked {
  /** host:port. */
  readonly address: string;
  readonly serverName: string;
  readonly token: Token | undefined;
  readonly tokenPath: string;
  readonly now: Date;
}

/** OpenSSL's and Node's words for a certificate that our roots don't accept. */
const wrongRoot =
  /self[- ]signed certificate|unable to (verify the first|get (local )?issuer) certificate|UNABLE_TO_|SELF_SIGNED|certificate signature failure/i;
const wrongName = /ERR_TLS_CERT_ALTNAME_INVALID|does not match certificate's altnames/i;
const outdated = /certificate has expired|CERT_HAS_EXPIRED|CERT_NOT_YET_VALID|certificate is not yet valid/i;

/** Turns a failed call into a sentence for the person who asks why a pod is not ready. */
export function caFailure(code: number, details: string, asked: Asked): CaFailure {
  return { code, reason: reasonFor(code, details, asked) };
}

function reasonFor(code: number, details: string, asked: Asked): string {
  const at = `the CA at ${asked.address}`;
  if (wrongName.test(details))
    return `cannot trust ${at}: its certificate does not carry the name "${asked.serverName}"; set ISTIOD_SAN if it has another one`;
  if (outdated.test(details)) return `cannot trust ${at}: its certificate has expired or is not valid yet`;
  if (wrongRoot.test(details))
    return `cannot trust ${at}: its certificate is not signed by our root; is the mounted root certificate that of this control plane?`;
  const expired = asked.token?.expires;
  if (code === grpcStatus.unauthenticated && expired !== undefined && expired <= asked.now)
    return `token expired at ${expired.toISOString()}: ${asked.tokenPath} must be renewed`;
  if (code === grpcStatus.unauthenticated)
    return asked.token === undefined
      ? `${at} wants a token, and there is none: ${asked.tokenPath} is missing or empty`
      : `${at} does not accept our token: ${details}`;
  if (code === grpcStatus.permissionDenied) return `${at} says no: ${details}`;
  if (code === grpcStatus.deadlineExceeded) return `${at} does not answer in time`;
  if (code === grpcStatus.unavailable) return `cannot reach ${at}: ${details}`;
  return `${at} failed: ${statusName(code)}: ${details}`;
}
