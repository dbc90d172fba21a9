import { describeError } from "../foundation/errors.ts";
import { type Clock, type Millis, within } from "../foundation/time.ts";
import { dialProbe } from "../system/probe-connection.ts";
import { runProgram } from "../system/programs.ts";
import { resolveName } from "../system/wait-dials.ts";
import type { HealthAction } from "./application-health-settings.ts";
import { HEALTH_CHECK, healthRequest, notServing } from "./grpc-health.ts";
import { afterAnswer, firstRequest } from "./probe-request.ts";

export interface AskDeps {
  readonly clock: Clock;
  /** Family of the machine's main address: `localhost` is asked there. */
  readonly family: "v4" | "v6";
  /** For exec: what the command gets. */
  readonly environment: ReadonlyMap<string, string>;
}

/** Longest reason that is told on. */
const LONGEST_REASON = 500;
const BODY_LIMIT = 10 * 1024;
const USER_AGENT = "pilotfish-probe/1.0";

/** Asks once: undefined when the application is healthy, or why not. Never throws, never takes longer than `timeout`. */
export async function askHealth(
  action: HealthAction,
  timeout: Millis,
  deps: AskDeps,
  stop: AbortSignal,
): Promise<string | undefined> {
  const late = new AbortController();
  const signal = AbortSignal.any([stop, late.signal]);
  // A command can't be called back: it is left to the end of its time.
  const stopped = new Promise<string>((resolve) => {
    stop.addEventListener("abort", () => resolve("the health check is stopped"), { signal: late.signal });
  });
  try {
    const question = questions[action.kind](action as never, timeout, deps, signal);
    const answer = await within(deps.clock, timeout, Promise.race([question, stopped]));
    if (!answer.timedOut) return answer.value?.slice(0, LONGEST_REASON);
    return `no answer within ${timeout} ms`;
  } catch (error) {
    return describeError(error).slice(0, LONGEST_REASON);
  } finally {
    late.abort(new Error("the question is over"));
  }
}

type Question<K extends HealthAction["kind"]> = (
  action: Extract<HealthAction, { kind: K }>,
  timeout: Millis,
  deps: AskDeps,
  signal: AbortSignal,
) => Promise<string | undefined>;

const questions: { readonly [K in HealthAction["kind"]]: Question<K> } = {
  http: askHttp,
  tcp: async ({ host, port }, timeout, deps, signal) => {
    const socket = await dialProbe({ ...(await placeOf(host, timeout, deps)), port, signal });
    socket.destroy();
    return undefined;
  },
  grpc: async ({ host, port, service }, timeout, deps, signal) => {
    const { callUnary } = await import("../system/probe-grpc.ts");
    const answer = await callUnary({
      dial: { ...(await placeOf(host, timeout, deps)), port },
      path: HEALTH_CHECK,
      userAgent: USER_AGENT,
      timeout,
      message: healthRequest(service),
      limit: 65_536,
      signal,
    });
    return notServing(answer);
  },
  exec: async ({ command }, timeout, { environment }) => {
    const [program = "", ...words] = command;
    // The whole process group is killed when the time is over, and when the program left something behind.
    const { exit, stderr, stdout } = await runProgram(program, words, { environment, timeout, limit: 4_096 });
    if (exit.how === "exited" && exit.code === 0) return undefined;
    const said = (stderr.trim() || stdout.trim()).split("\n")[0] ?? "";
    const how = {
      exited: () => `the command ended with ${exit.how === "exited" ? exit.code : ""}`,
      killed: () => `the command was ended by ${exit.how === "killed" ? exit.signal : ""}`,
      "timed-out": () => `the command took longer than ${timeout} ms`,
      "not-started": () => `cannot start ${program}: ${exit.how === "not-started" ? exit.reason : ""}`,
    }[exit.how]();
    return said === "" ? how : `${how}: ${said}`;
  },
};

/** The kubelet's rules, as for the probes that the injector rewrites: 200 to 399, redirects to the same host followed. */
async function askHttp(
  action: Extract<HealthAction, { kind: "http" }>,
  timeout: Millis,
  deps: AskDeps,
  signal: AbortSignal,
): Promise<string | undefined> {
  const { ProbeClient } = await import("../system/probe-http.ts");
  const client = new ProbeClient(false);
  const place = await placeOf(action.host, timeout, deps);
  const caller = { rawHeaders: ["user-agent", USER_AGENT], host: undefined };
  let next = firstRequest({ ...action, kind: "http", timeout }, action.host, ownAgent(action.headers, caller), 0);
  for (let made = 1; ; made++) {
    const { target, host, headers } = next;
    const answer = await client.get({
      dial: { ...place, port: target.port },
      scheme: target.scheme,
      http2: true,
      path: target.path,
      host,
      headers,
      bodyLimit: BODY_LIMIT,
      signal,
    });
    const step = afterAnswer(next, answer.status, answer.location, made);
    if (step.is === "success") return undefined;
    if (step.is === "failure") return step.why;
    if (step.is === "final")
      return answer.status >= 200 && answer.status < 400 ? undefined : `it answered ${answer.status}`;
    next = step.request;
  }
}

/** A User-Agent of the probe itself wins. */
const ownAgent = (
  headers: readonly (readonly [string, string])[],
  caller: { readonly rawHeaders: readonly string[]; readonly host: undefined },
) => (headers.some(([name]) => name.toLowerCase() === "user-agent") ? { ...caller, rawHeaders: [] } : caller);

/** Loopback is asked from Envoy's own source address, which capture lets through untouched. */
async function placeOf(
  host: string,
  timeout: Millis,
  { family }: AskDeps,
): Promise<{ readonly host: string; readonly source: string | undefined }> {
  if (host !== "localhost") return { host: (await resolveName(host, timeout))[0] ?? host, source: undefined };
  return family === "v6" ? { host: "::1", source: "::6" } : { host: "127.0.0.1", source: "127.0.0.6" };
}
