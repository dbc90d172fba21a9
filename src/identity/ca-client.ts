import { Client, credentials, Metadata, type ServiceError } from "@grpc/grpc-js";
import type { ControlPlaneConfig } from "../config/control-plane-config.ts";
import { describeError } from "../foundation/errors.ts";
import type { Clock, Millis } from "../foundation/time.ts";
import { grpcStatus } from "../protocol/grpc-status.ts";
import { certificateRequest, certificateResponse } from "../protocol/messages.ts";
import { paths } from "../protocol/names.ts";
import { checkServerIdentity, isIP } from "../system/tls.ts";
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
  const asked = {
    address: `${ca.host}:${ca.port}`,
    serverName: ca.serverName,
    token: proof.token,
    tokenPath: config.tokenPath,
    now,
  };
  const failed = (error: unknown): CaAnswer => {
    const { code = grpcStatus.unknown, details } = error as Partial<ServiceError>;
    return { ok: false, ...caFailure(code, details ?? describeError(error), asked) };
  };
  let client: Client | undefined;
  try {
    client = openClient(config, proof);
    return { ok: true, chain: await call(client, config, proof, csr, now.getTime() + deadline) };
  } catch (error) {
    return failed(error);
  } finally {
    client?.close();
  }
}

function openClient({ ca, keepalive }: ControlPlaneConfig, { tls }: UpstreamCredentials): Client {
  const host = ca.host.includes(":") ? `[${ca.host}]` : ca.host;
  return new Client(`dns:${host}:${ca.port}`, channelCredentials(tls), {
    "grpc.enable_channelz": 0,
    "grpc.enable_retries": 0,
    "grpc.enable_http_proxy": 0,
    "grpc.use_local_subchannel_pool": 1,
    "grpc.max_receive_message_length": LARGEST_ANSWER,
    "grpc.keepalive_time_ms": keepalive.interval,
    "grpc.keepalive_timeout_ms": keepalive.timeout,
    ...(tls === undefined ? {} : serverNameOptions(tls.serverName)),
  });
}

/** TLS knows no address as a server's name, and Node warns of one; the address itself is what the certificate is checked for. */
function serverNameOptions(serverName: string): Readonly<Record<string, string>> {
  const name = isIP(serverName) === 0 ? serverName : "istiod.istio-system.svc";
  return { "grpc.ssl_target_name_override": name, "grpc.default_authority": name };
}

function channelCredentials(tls: UpstreamCredentials["tls"]) {
  if (tls === undefined) return credentials.createInsecure();
  const bytes = (text: string | Buffer | undefined): Buffer | null =>
    text === undefined ? null : Buffer.isBuffer(text) ? text : Buffer.from(text);
  return credentials.createSsl(bytes(tls.roots), bytes(tls.key), bytes(tls.certificate), {
    checkServerIdentity: (_host, certificate) => checkServerIdentity(tls.serverName, certificate),
  });
}

function call(
  client: Client,
  config: ControlPlaneConfig,
  proof: UpstreamCredentials,
  csr: string,
  deadline: number,
): Promise<readonly string[]> {
  const metadata = new Metadata();
  for (const [name, value] of proof.metadata) metadata.set(name, value);
  const request = {
    csr,
    validityDuration: Math.round(config.certificate.lifetime / 1_000),
    metadata: config.certSigner === undefined ? null : { fields: { CertSigner: { stringValue: config.certSigner } } },
  };
  return new Promise((resolve, reject) => {
    client.makeUnaryRequest(
      paths.createCertificate,
      certificateRequest.encode,
      certificateResponse.decode,
      request,
      metadata,
      { deadline },
      (error, answer) => {
        if (error !== null) reject(error);
        else resolve(answer?.certChain ?? []);
      },
    );
  });
}
