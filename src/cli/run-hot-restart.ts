import { FlagReader } from "../config/flag-reader.ts";
import { isObject, scalarText } from "../config/object-reader.ts";
import { readJson } from "../config/structured-text.ts";
import { describeError, errorCode, Refused, Unavailable } from "../foundation/errors.ts";
import { Problems } from "../foundation/problems.ts";
import type { Millis } from "../foundation/time.ts";
import { type HttpAnswer, type HttpTarget, httpRequest } from "../system/http-client.ts";
import type { Call } from "./command.ts";
import { controlTargets, targetsInWords } from "./control-targets.ts";
import { exitCodes } from "./exit-codes.ts";
import { nobodyThere } from "./loopback.ts";

interface RestartCall {
  /** Tried in this order until somebody listens. */
  readonly to: readonly HttpTarget[];
  readonly path: string;
  readonly wait: boolean;
  readonly json: boolean;
  readonly timeout: Millis;
}

/** For an order that is only taken, and for the time before `--wait` begins. */
const AT_ONCE = 10_000;
/** Node's timers end there. */
const LONGEST_TIMER = 2 ** 31 - 1;
const WHAT = "cannot replace Envoy";

/** `hot-restart`: 0 when it was taken (with --wait: when the new Envoy serves); Refused with the proxy's reason. */
export async function run(call: Call): Promise<number> {
  const order = readHotRestart(call);
  const answer = await send(order);
  const text = answer.body.toString("utf8").trim();
  if (order.json) {
    call.out(`${text}\n`);
    return answer.status < 300 ? exitCodes.ok : exitCodes.failed;
  }
  if (answer.status >= 300) throw new Refused(`${WHAT}: ${reasonIn(text) ?? text}`);
  call.out(`${order.wait ? doneIn(text) : text}\n`);
  return exitCodes.ok;
}

/** What the flags ask for; InvalidConfig with all that is wrong with them. */
export function readHotRestart(call: Pick<Call, "flags">): RestartCall {
  const problems = new Problems();
  const flags = new FlagReader(call.flags.values, problems);
  for (const word of call.flags.positionals) problems.add(word, "hot-restart takes no words, only flags");
  const to = controlTargets(flags, problems);
  const wait = flags.boolean("wait") ?? false;
  const json = flags.boolean("json") ?? false;
  if (json && !wait) problems.add("--json", "there is an outcome only with --wait; add it");
  const strategy = flags.oneOf("strategy", ["auto", "swap"]) ?? "auto";
  const ignoreMemory = flags.boolean("ignore-memory") ?? false;
  const timeout = flags.duration("timeout") ?? 300_000;
  problems.throwIfAny(WHAT);
  const query = [...(wait ? ["wait"] : []), `strategy=${strategy}`, ...(ignoreMemory ? ["ignore-memory"] : [])];
  return {
    to,
    path: `/hot-restart?${query.join("&")}`,
    wait,
    json,
    timeout: wait ? Math.min(timeout, LONGEST_TIMER) : AT_ONCE,
  };
}

/** Sent once: another place is tried only where nobody listened. */
async function send({ to, path, wait, timeout }: RestartCall): Promise<HttpAnswer> {
  for (const target of to) {
    try {
      return await httpRequest({ to: target, path, method: "POST", timeout });
    } catch (error) {
      if (nobodyThere.includes(errorCode(error) ?? "")) continue;
      const hint = wait ? '; it may go on, "pilotfish status" shows it' : "";
      throw new Refused(`${WHAT}: ${describeError(error)}${hint}`, { cause: error });
    }
  }
  throw new Unavailable(`${WHAT}: nobody listens at ${targetsInWords(to)}; is the proxy running here?`);
}

/** `refused: …` of an outcome in JSON; undefined for a plain text. */
function reasonIn(text: string): string | undefined {
  const read = readJson(text);
  if (!read.ok || !isObject(read.value)) return undefined;
  const { outcome, why } = read.value;
  return typeof outcome === "string" && typeof why === "string" ? `${outcome}: ${why}` : undefined;
}

/** `hot restart done: epoch 3 serves, took 0.41 s`. */
function doneIn(text: string): string {
  const read = readJson(text);
  if (!read.ok || !isObject(read.value)) return text;
  const { outcome, by, epoch, seconds } = read.value;
  if (outcome !== "restarted") return "unchanged: Envoy would be started with the same";
  const took = typeof seconds === "number" ? `, took ${seconds.toFixed(2)} s` : "";
  return `${by === "swap" ? "swap" : "hot restart"} done: epoch ${scalarText(epoch) ?? "?"} serves${took}`;
}
