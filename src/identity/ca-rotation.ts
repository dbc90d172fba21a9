import type { CertificateSettings } from "../config/control-plane-config.ts";
import { describeError } from "../foundation/errors.ts";
import type { Log } from "../foundation/log.ts";
import { type Clock, type Millis, pause } from "../foundation/time.ts";
import type { CaAnswer } from "./ca-client.ts";
import type { Certificate } from "./certificate.ts";
import { checkIssued } from "./check-certificate.ts";
import type { IdentityMetrics } from "./identity-metrics.ts";
import { makePrivateKey } from "./private-key.ts";
import { LONGEST_LOOK, renewalDelay, retryDelay } from "./renewal.ts";
import { signingRequest } from "./signing-request.ts";

export interface RotationDeps {
  readonly settings: CertificateSettings;
  readonly identity: string;
  /** Sends a request to the CA; never rejects. */
  readonly ask: (csr: string) => Promise<CaAnswer>;
  readonly clock: Clock;
  /** 0..1 */
  readonly random: () => number;
  readonly log: Log;
  readonly metrics: IdentityMetrics;
  readonly onCertificate: (certificate: Certificate) => void;
}

/** Where the loop is. */
export type RotationState =
  | { readonly is: "stopped" }
  | { readonly is: "asking"; readonly attempt: number; readonly lastFailure: string | undefined }
  | { readonly is: "backing-off"; readonly attempt: number; readonly lastFailure: string }
  | { readonly is: "holding"; readonly renewAt: Date };

/** A certificate that is due the moment it comes (a CA with a broken clock) must not make us ask in a circle. */
const LEAST_HOLD: Millis = 1_000;

/**
 * One loop: ask, keep, wait; ask again after a failure. The certificate that is in use stays until the next one was
 * checked: `onCertificate` is the only thing that replaces it.
 */
export function createRotation(deps: RotationDeps): {
  start(): void;
  state(): RotationState;
  /** Ends a back-off now: a new token or root is there. */
  wake(): void;
  stop(): Promise<void>;
} {
  let state: RotationState = { is: "stopped" };
  let stopping = false;
  let interrupt = new AbortController();
  let loop: Promise<void> = Promise.resolve();

  const wait = (delay: Millis): Promise<void> => pause(deps.clock, delay, interrupt.signal);

  const holdUntilDue = async (certificate: Certificate): Promise<void> => {
    const { graceRatio, graceJitter } = deps.settings;
    const grace = { ratio: graceRatio, jitter: (deps.random() * 2 - 1) * graceJitter };
    const until = (): Millis => renewalDelay(certificate, deps.clock.wall(), grace);
    state = { is: "holding", renewAt: new Date(deps.clock.wall().getTime() + until()) };
    await wait(Math.min(LEAST_HOLD, LONGEST_LOOK));
    for (let left = until(); left > 0 && !stopping; left = until()) await wait(Math.min(left, LONGEST_LOOK));
  };

  const run = async (): Promise<void> => {
    let attempt = 1;
    let lastFailure: string | undefined;
    while (!stopping) {
      state = { is: "asking", attempt, lastFailure };
      const result = await askOnce(deps, attempt);
      if (stopping) break;
      if (result.ok) {
        deps.onCertificate(result.certificate);
        [attempt, lastFailure] = [1, undefined];
        await holdUntilDue(result.certificate);
        continue;
      }
      lastFailure = result.reason;
      // The first and then ever fewer: the reason stands in the status all the time.
      if (attempt <= 3 || attempt % 10 === 0) deps.log.warn("no certificate yet", { reason: lastFailure, attempt });
      state = { is: "backing-off", attempt, lastFailure };
      await wait(retryDelay(attempt, result.code, deps.random()));
      attempt += 1;
    }
    state = { is: "stopped" };
  };

  return {
    start() {
      loop = run().catch((error: unknown) => {
        deps.log.error("internal error", { where: "certificate rotation", error });
        state = { is: "stopped" };
      });
    },
    state: () => state,
    wake() {
      if (state.is !== "backing-off") return;
      const old = interrupt;
      interrupt = new AbortController();
      old.abort();
    },
    async stop() {
      stopping = true;
      interrupt.abort();
      await loop;
    },
  };
}

type Asked =
  | { readonly ok: true; readonly certificate: Certificate }
  | { readonly ok: false; readonly reason: string; readonly code: number | undefined };

/** A new key, a request, an answer, and the check of it. */
async function askOnce(deps: RotationDeps, attempt: number): Promise<Asked> {
  const { settings, identity, clock, metrics } = deps;
  const key = await makePrivateKey(settings.key, settings.pkcs8);
  const started = clock.monotonic();
  metrics.request();
  if (attempt > 1) metrics.retry();
  const answer = await deps.ask(signingRequest(key, identity));
  metrics.latency(clock.monotonic() - started);
  if (!answer.ok) {
    metrics.failure();
    return answer;
  }
  try {
    return { ok: true, certificate: checkIssued(answer.chain, { key, identity, now: clock.wall() }) };
  } catch (error) {
    metrics.failure();
    return { ok: false, reason: describeError(error), code: undefined };
  }
}
