import type { ControlPlaneConfig } from "../config/control-plane-config.ts";
import { describeError, errorCode } from "../foundation/errors.ts";
import { type Clock, type Millis, within } from "../foundation/time.ts";
import { CallFailed, unaryCall } from "../protocol/grpc-client.ts";
import { grpcStatus } from "../protocol/grpc-status.ts";
import { certificateRequest, certificateResponse } from "../protocol/messages.ts";
import { paths } from "../protocol/names.ts";
import { closeLater } from "../system/close-later.ts";
import { connectStream, isIP } from "../system/tls.ts";
import { type CaFailure, caFailure } from "./ca-reasons.ts";
import { type UpstreamCredentials, upstreamCredentials } from "./upstream-credentials.ts";

/** What the CA said to one request. */
export type CaAnswer =
  | { readonly ok: true /** PEM, leaf first, root last; unchecked. */; readonly chain: readonly string[] }
  | ({ readonly ok: false } & CaFailure);

/** The largest answer that is taken: a chain has a few kilobytes. */
const LARGEST_ANSWER = 1024 * 1024;
/** A call that takes longer is given up: a CA that hangs must not hang us. */
const DEADLINE: Millis = 10_000;

/**
 * Asks `istio.v1.auth.IstioCertificateService/CreateCertificate` to sign `csr` (PEM). A new connection for every call,
 * closed after it: certificates are asked for twice a day, and token, roots and client certificate are those of now.
 * Never rejects.
 */
export async function requestCertificate(
  config: ControlPlaneConfig,
  csr: string,
  clock: Clock,
  deadline: Millis = DEADLINE,
): Promise<CaAnswer> {
  const { ca } = config;
  const now = clock.wall();
  let proof: UpstreamCredentials;
  try {
    proof = upstreamCredentials(config, ca, now);
  } catch (error) {
    return { ok: false, code: grpcStatus.failedPrecondition, reason: describeError(error) };
  }
  try {
    return { ok: true, chain: await call(config, proof, csr, clock, deadline) };
  } catch (error) {
    const asked = {
      address: `${ca.host}:${ca.port}`,
      serverName: ca.serverName,
      token: proof.token,
      tokenPath: config.tokenPath,
      now,
    };
    const code = error instanceof CallFailed ? error.code : grpcStatus.unknown;
    return { ok: false, ...caFailure(code, describeError(error), asked) };
  }
}

/** Connects and asks, within `deadline` ms for both together. Nothing of the connection is left afterwards. */
async function call(
  config: ControlPlaneConfig,
  proof: UpstreamCredentials,
  csr: string,
  clock: Clock,
  deadline: Millis,
): Promise<readonly string[]> {
  const { host, port } = config.ca;
  // Its own limit only clears away what our deadline left behind: it must not be the first to say that time is over.
  const opening = connectStream({ host, port, timeout: deadline + 1_000, tls: proof.tls });
  const asking = opening.then(
    (socket) =>
      unaryCall(socket, {
        ...{ origin: originOf(config, proof), path: paths.createCertificate, metadata: proof.metadata },
        ...{ message: certificateRequest.encode(signRequest(config, csr)), deadline, limit: LARGEST_ANSWER },
      }),
    (error: unknown) => {
      throw notConnected(error);
    },
  );
  const answered = await within(clock, deadline, asking).finally(() => endSoon(opening));
  if (!answered.timedOut) return certificateResponse.decode(answered.value).certChain;
  opening.then((socket) => socket.destroy(), ignore);
  throw new CallFailed(grpcStatus.deadlineExceeded, `no answer within ${deadline} ms`);
}

const ignore = (): void => undefined;
/** How long a CA may take to hear our goodbye. */
const LINGER: Millis = 1_000;

/** The call's end has said goodbye; a CA that does not hang up then, or a connection that comes late, is cut off. */
function endSoon(opening: ReturnType<typeof connectStream>): void {
  opening.then((socket) => closeLater(socket, LINGER, () => socket.destroy()), ignore);
}

/** TLS material that can't be used is no matter of the network: another try would not mend it. */
const notConnected = (error: unknown): CallFailed =>
  new CallFailed(
    errorCode(error)?.startsWith("ERR_OSSL") ? grpcStatus.unknown : grpcStatus.unavailable,
    describeError(error),
  );

/** With TLS, the name that the certificate is checked for; istiod's usual one where that is an address. */
function originOf({ ca }: ControlPlaneConfig, { tls }: UpstreamCredentials): string {
  if (tls !== undefined) return `https://${isIP(tls.serverName) === 0 ? tls.serverName : "istiod.istio-system.svc"}`;
  return `http://${ca.host.includes(":") ? `[${ca.host}]` : ca.host}:${ca.port}`;
}

const signRequest = (config: ControlPlaneConfig, csr: string) => ({
  csr,
  validityDuration: Math.round(config.certificate.lifetime / 1_000),
  metadata: config.certSigner === undefined ? null : { fields: { CertSigner: { stringValue: config.certSigner } } },
});
