import { FlagReader } from "../../config/flag-reader.ts";
import { parseInteger } from "../../config/units.ts";
import { Problems } from "../../foundation/problems.ts";
import type { Millis } from "../../foundation/time.ts";
import type { Call } from "../command.ts";
import { readTarget, type Target } from "./targets.ts";

export interface WaitPlan {
  readonly targets: readonly Target[];
  readonly total: Millis;
  readonly request: Millis;
  readonly period: Millis;
  /** Longest pause; undefined: pauses do not grow. */
  readonly longest: Millis | undefined;
  /** Take any certificate. */
  readonly insecure: boolean;
  /** What is run afterwards. */
  readonly command: readonly string[] | undefined;
  /** Set: the command runs below us, and then the sidecar is asked to end. */
  readonly quit: QuitPlan | undefined;
}

export interface QuitPlan {
  /** Unix socket of the status server, as given. */
  readonly socket: string | undefined;
  readonly statusPort: number;
}

const MOST = 2 ** 31;

/** What the flags say; InvalidConfig with everything that is wrong. */
export function readWait(call: Pick<Call, "flags" | "env">): WaitPlan {
  const problems = new Problems();
  const flags = new FlagReader(call.flags.values, problems);
  const several = flags.has("for");
  const limits = {
    total: (flags.integer("timeoutSeconds", 0, MOST) ?? 60) * 1_000,
    // Half a second is the peer's, for a proxy on loopback; a name server and a way through the network need more.
    request: flags.integer("requestTimeoutMillis", 1, MOST) ?? (several ? 2_000 : 500),
    period: flags.integer("periodMillis", 1, MOST) ?? 500,
    longest: flags.integer("maxPeriodMillis", 1, MOST) ?? (several ? 5_000 : undefined),
  };
  const targets = readTargets(call, flags, problems);
  const insecure = flags.boolean("insecure") ?? false;
  for (const word of call.flags.positionals)
    problems.add(word, "wait takes no words, only flags; a command stands after --");
  const command = call.flags.rest;
  if (command?.length === 0) problems.add("--", "no command follows; write wait -- COMMAND ARGUMENTS");
  const quit = readQuit(flags, command !== undefined);
  problems.throwIfAny("cannot wait");
  return { targets, ...limits, insecure, command, quit };
}

function readTargets(
  { flags: { values }, env }: Pick<Call, "flags" | "env">,
  flags: FlagReader,
  problems: Problems,
): readonly Target[] {
  const moved = parseInteger(env.get("ENVOY_STATUS_PORT") ?? "") ?? 15_021;
  const proxy = new URL(`http://localhost:${moved}/healthz/ready`);
  const url = flags.text("url");
  const wanted = (values.get("for") ?? []).map((text) => readTarget("--for", text, proxy, problems));
  if (url !== undefined && !/^https?:/.test(url))
    problems.add("--url", `"${url}" can't be asked; use http://HOST:PORT/PATH`);
  else if (url !== undefined) wanted.unshift(readTarget("--url", url, proxy, problems));
  else if (wanted.length === 0) wanted.push(readTarget("--url", "proxy", proxy, problems));
  const targets = wanted.filter((one) => one !== undefined);
  return targets.filter((one, at) => targets.findIndex((other) => other.name === one.name) === at);
}

function readQuit(flags: FlagReader, command: boolean): QuitPlan | undefined {
  const wanted = flags.boolean("then-quit") ?? false;
  const socket = flags.text("socket");
  const statusPort = flags.integer("statusPort", 1, 65_535);
  if (wanted && !command) flags.problem("then-quit", "no command follows; write wait --then-quit -- COMMAND ARGUMENTS");
  if (!wanted && (socket ?? statusPort) !== undefined)
    flags.problem(socket === undefined ? "statusPort" : "socket", "only --then-quit has a use for it");
  return wanted ? { socket, statusPort: statusPort ?? 15_020 } : undefined;
}
