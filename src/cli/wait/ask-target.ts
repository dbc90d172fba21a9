import { describeError, errorCode } from "../../foundation/errors.ts";
import type { Millis } from "../../foundation/time.ts";
import { fileExists } from "../../system/files.ts";
import { getStatus, holdTcp, resolveName } from "../../system/wait-dials.ts";
import type { Answer, Ask } from "../wait-loop.ts";
import type { Target } from "./targets.ts";

/** Longest part of an answer that becomes a reason. */
const LONGEST_REASON = 300;
/** How long a TCP connection must last: a proxy in between needs about the way to the server to find nobody there. */
const STEADY: Millis = 150;

const READY: Answer = { ready: true };
/** What a server said must not steer a terminal or make lines in a log. */
const no = (because: string): Answer => ({ ready: false, because: because.replaceAll(/[\s\p{Cc}]+/gu, " ").trim() });

/** The question that a target stands for. It never throws: what went wrong is the reason. */
export function askOf(target: Target, insecure: boolean): Ask {
  const question = questionOf(target, insecure);
  return async (limit) => {
    try {
      return await question(limit);
    } catch (error) {
      return no(reasonOf(error));
    }
  };
}

function questionOf(target: Target, insecure: boolean): Ask {
  switch (target.kind) {
    case "url":
      return (limit) => askUrl(target.url, limit, insecure);
    case "tcp":
      return (limit) => askTcp(target.host, target.port, limit);
    case "grpc":
      return (limit) => askGrpc(target.host, target.port, target.service, limit);
    case "dns":
      return async (limit) => ((await resolveName(target.host, limit)).length > 0 ? READY : no("it has no address"));
    case "file":
      return async () => ((await Promise.resolve(fileExists(target.path))) ? READY : no("there is no such file"));
    default:
      return target satisfies never;
  }
}

/** 2xx is ready, anything else a reason. */
async function askUrl(url: URL, limit: Millis, insecure: boolean): Promise<Answer> {
  const { status, said } = await getStatus(url, { timeout: limit, insecure, limit: LONGEST_REASON });
  if (status >= 200 && status < 300) return READY;
  return no(said.trim() === "" ? `the answer is ${status}` : `${status} ${said}`);
}

async function askTcp(host: string, port: number, limit: Millis): Promise<Answer> {
  if ((await holdTcp(host, port, limit, STEADY)) === "open") return READY;
  return no("the connection is taken and closed at once: a proxy stands in between, and nobody behind it");
}

/** grpc.health.v1.Health/Check without TLS. */
async function askGrpc(host: string, port: number, service: string, limit: Millis): Promise<Answer> {
  const [address = host] = await resolveName(host, limit);
  const { callUnary } = await import("../../system/probe-grpc.ts");
  const { HEALTH_CHECK, healthRequest, notServing } = await import("../../status/grpc-health.ts");
  const because = notServing(
    await callUnary({
      dial: { host: address, port, source: undefined },
      path: HEALTH_CHECK,
      userAgent: undefined,
      timeout: limit,
      message: healthRequest(service),
      limit: 65_536,
      signal: AbortSignal.timeout(limit),
    }),
  );
  return because === undefined ? READY : no(because);
}

/** Of several addresses the first one's error is told: it is the family that pods usually have. */
function reasonOf(error: unknown): string {
  if (error instanceof AggregateError && error.errors.length > 0) return reasonOf(error.errors[0]);
  if (error instanceof Error && error.name === "TimeoutError") return "no answer in time";
  const text = describeError(error);
  // Node's codes for a certificate that it does not trust.
  const untrusted = /SELF_SIGNED|UNABLE_TO_|CERT_/.test(errorCode(error) ?? "");
  return untrusted ? `${text} (${errorCode(error)}); --insecure takes any certificate` : text;
}
