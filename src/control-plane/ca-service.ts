import { generateKeyPairSync, X509Certificate } from "node:crypto";
import type { Log } from "../foundation/log.ts";
import type { Clock, Millis } from "../foundation/time.ts";
import { type MessageCall, type MessageHandler, messages } from "../protocol/grpc-server.ts";
import { grpcStatus } from "../protocol/grpc-status.ts";
import { certificateRequest, certificateResponse } from "../protocol/messages.ts";
import { clientCertificate } from "../system/tls.ts";
import { type Authority, issue, makeAuthority, readSigningRequest } from "./certificate-authority.ts";
import { type Faults, hits } from "./faults.ts";

export interface CaServiceDeps {
  readonly authority: () => Authority;
  /** PEM of the roots that an answer ends with: more than one while the root is being changed. */
  readonly roots: () => string;
  /** Whether this bearer token is good; undefined when the caller showed none. */
  readonly admits: (token: string | undefined) => boolean;
  /** Longest lifetime that is granted. */
  readonly maxLifetime: Millis;
  readonly faults: () => Faults;
  readonly clock: Clock;
  readonly log: Log;
  /** Called for each certificate that was issued. */
  readonly onIssued: (uri: string) => void;
}

const MINUTE = 60_000;

/** `istio.v1.auth.IstioCertificateService/CreateCertificate`. */
export function caService(deps: CaServiceDeps): ReturnType<typeof messages> {
  return messages(1024 * 1024, (call): MessageHandler => {
    let cancel: (() => void) | undefined;
    return {
      onMessage(message) {
        const faults = deps.faults();
        if (hits(faults.hang, "ca")) return;
        if (faults.delay === undefined) return answer(deps, call, message);
        cancel = deps.clock.after(faults.delay, () => answer(deps, call, message));
      },
      onEnd: () => undefined,
      onClose: () => cancel?.(),
    };
  });
}

function answer(deps: CaServiceDeps, call: MessageCall, message: Buffer): void {
  const { refuse } = deps.faults();
  if (refuse !== undefined && hits(refuse.calls, "ca")) return call.end(refuse.code, refuse.text);
  try {
    const request = certificateRequest.decode(message);
    const wanted = readSigningRequest(request.csr);
    const objection = refusal(deps, call, wanted.uris);
    if (objection !== undefined) return call.end(...objection);
    call.send(certificateResponse.encode({ certChain: chain(deps, wanted, request.validityDuration * 1_000) }));
    call.end(grpcStatus.ok);
    deps.onIssued(wanted.uris.join());
  } catch (error) {
    call.end(grpcStatus.invalidArgument, error instanceof Error ? error.message : String(error));
  }
}

type Refusal = readonly [code: number, text: string];

/** A client certificate speaks for its own names only; a token that we accept may ask for any. */
function refusal(deps: CaServiceDeps, call: MessageCall, uris: readonly string[]): Refusal | undefined {
  const certificate = clientCertificate(call.socket as Parameters<typeof clientCertificate>[0]);
  if (certificate !== undefined) {
    const own = new X509Certificate(certificate).subjectAltName ?? "";
    const foreign = uris.find((uri) => !own.split(", ").includes(`URI:${uri}`));
    return foreign === undefined
      ? undefined
      : [grpcStatus.permissionDenied, `the client certificate does not speak for ${foreign}`];
  }
  const token = bearer(String(call.headers["authorization"] ?? ""));
  if (token !== undefined && expired(token, deps.clock.wall()))
    return [grpcStatus.unauthenticated, "the token has expired"];
  return deps.admits(token) ? undefined : [grpcStatus.unauthenticated, "the token is missing or not known"];
}

const bearer = (header: string): string | undefined => /^Bearer (.+)$/.exec(header)?.[1];

function expired(token: string, now: Date): boolean {
  try {
    const claims: unknown = JSON.parse(Buffer.from(token.split(".")[1] ?? "", "base64url").toString());
    const exp = typeof claims === "object" && claims !== null && "exp" in claims ? claims.exp : undefined;
    return typeof exp === "number" && exp * 1_000 <= now.getTime();
  } catch {
    return false;
  }
}

function chain(
  deps: CaServiceDeps,
  wanted: { readonly publicKey: Buffer; readonly uris: readonly string[] },
  asked: Millis,
): readonly string[] {
  const faults = deps.faults();
  const now = deps.clock.wall().getTime();
  const lifetime = faults.lifetime ?? Math.min(asked > 0 ? asked : deps.maxLifetime, deps.maxLifetime);
  // Short lifetimes are not backdated by a minute: the renewal point would lie in the past.
  const from = new Date(now - (lifetime > 10 * MINUTE ? MINUTE : 1_000));
  const valid = { from, to: new Date(now + lifetime) };
  const authority = deps.authority();
  const ends = [authority.intermediate.certificate, deps.roots()];
  const leaf = (uris = wanted.uris, key = wanted.publicKey, when = valid): string =>
    issue(authority, key, { uris }, when);
  const wrong = faults.answer;
  if (wrong === undefined) return [leaf(), ...ends];
  switch (wrong) {
    case "empty":
      return [];
    case "leaf-only":
      return [leaf()];
    case "foreign-key":
      return [leaf(wanted.uris, strangersKey()), ...ends];
    case "foreign-root":
      return [
        leaf(),
        authority.intermediate.certificate,
        makeAuthority(new Date(now), " of a stranger").root.certificate,
      ];
    case "wrong-name":
      return [leaf(["spiffe://cluster.local/ns/other/sa/other"]), ...ends];
    case "expired":
      return [
        leaf(wanted.uris, wanted.publicKey, { from: new Date(now - 120_000), to: new Date(now - 60_000) }),
        ...ends,
      ];
    case "huge":
      return [leaf() + "#".repeat(10 * 1024 * 1024), ...ends];
    case "garbage":
      return ["\u0000\u0001 this is no certificate", ...ends];
  }
}

const strangersKey = (): Buffer =>
  generateKeyPairSync("ec", { namedCurve: "P-256" }).publicKey.export({ format: "der", type: "spki" });
