import { FlagReader } from "../config/flag-reader.ts";
import { parseInteger } from "../config/units.ts";
import { describeError, errorCode, Refused } from "../foundation/errors.ts";
import { Problems } from "../foundation/problems.ts";
import type { Millis } from "../foundation/time.ts";
import { realClock } from "../system/clock.ts";
import { httpRequest } from "../system/http-client.ts";
import type { Call } from "./command.ts";
import { addressesOf, nobodyThere } from "./loopback.ts";
import { type Answer, type WaitLimits, waitUntil } from "./wait-loop.ts";

/** Longest part of an answer that becomes a reason. */
const LONGEST_REASON = 300;

/** `wait`: 0 when ready, 1 (Refused) when the time is over. */
export async function run(call: Call): Promise<number> {
  const { url, limits } = readWait(call);
  const result = await waitUntil(
    realClock,
    limits,
    (limit) => askUrl(url, limit),
    (because) => call.err(`pilotfish: waiting for ${url.href}: ${because}\n`),
  );
  if (result.ready) return 0;
  throw new Refused(
    `cannot wait any longer for ${url.href}: not ready within ${limits.total / 1_000} s: ${result.because}`,
  );
}

/** What the flags say; InvalidConfig with everything that is wrong. */
export function readWait(call: Pick<Call, "flags" | "env">): { readonly url: URL; readonly limits: WaitLimits } {
  const problems = new Problems();
  const flags = new FlagReader(call.flags.values, problems);
  const most = 2 ** 31;
  const limits = {
    total: (flags.integer("timeoutSeconds", 0, most) ?? 60) * 1_000,
    request: flags.integer("requestTimeoutMillis", 1, most) ?? 500,
    period: flags.integer("periodMillis", 1, most) ?? 500,
  };
  const moved = parseInteger(call.env.get("ENVOY_STATUS_PORT") ?? "") ?? 15_021;
  const text = flags.text("url") ?? `http://localhost:${moved}/healthz/ready`;
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url?.protocol !== "http:") problems.add("--url", `"${text}" can't be asked; use http://HOST:PORT/PATH`);
  for (const word of call.flags.positionals) problems.add(word, "wait takes no words, only flags");
  if (call.flags.rest !== undefined)
    problems.add("--", "wait runs no command; write the command after it: wait && COMMAND");
  problems.throwIfAny("cannot wait");
  return { url: url ?? new URL("http://localhost"), limits };
}

/** One question to a URL: 2xx is ready, anything else a reason. */
export async function askUrl(url: URL, limit: Millis): Promise<Answer> {
  let because = "";
  for (const host of addressesOf(url.hostname)) {
    try {
      const port = Number(url.port || 80);
      const answer = await httpRequest({ to: { host, port }, path: `${url.pathname}${url.search}`, timeout: limit });
      if (answer.status >= 200 && answer.status < 300) return { ready: true };
      const said = answer.body.toString("utf8").trim().replaceAll(/\s+/g, " ").slice(0, LONGEST_REASON);
      return { ready: false, because: said === "" ? `the answer is ${answer.status}` : `${answer.status} ${said}` };
    } catch (error) {
      // Of two families the first one's error is told: it is the one that pods usually have.
      because ||= describeError(error);
      if (!nobodyThere.includes(errorCode(error) ?? "")) break;
    }
  }
  return { ready: false, because };
}
