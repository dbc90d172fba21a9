import { FlagReader } from "../config/flag-reader.ts";
import { describeError, errorCode, Refused, Unavailable } from "../foundation/errors.ts";
import { Problems } from "../foundation/problems.ts";
import { type Millis, pause } from "../foundation/time.ts";
import { realClock } from "../system/clock.ts";
import { type HttpTarget, httpRequest } from "../system/http-client.ts";
import { stdoutIsTerminal } from "../system/terminal.ts";
import type { Call } from "./command.ts";
import { controlTargets, targetsInWords } from "./control-targets.ts";
import { nobodyThere } from "./loopback.ts";

interface StatusCall {
  /** Tried in this order until somebody listens. */
  readonly to: readonly HttpTarget[];
  readonly path: string;
  readonly timeout: Millis;
  /** Pause between two pages; undefined shows one. */
  readonly every: Millis | undefined;
}

/** Cursor home and the rest of the screen cleared: no flicker, no scrolling. */
const CLEAR = "\u001b[H\u001b[2J";

/** `status`: 0 when the proxy answered, Refused when it did not want to, Unavailable when nobody is there. */
export async function run(
  call: Call,
  terminal = stdoutIsTerminal(),
  stop = new AbortController().signal,
): Promise<number> {
  const status = readStatus(call, terminal);
  if (status.every === undefined) {
    call.out(await fetchPage(status));
    return 0;
  }
  while (!stop.aborted) {
    // A proxy that is being replaced is worth waiting for, not a reason to stop watching.
    const page = await fetchPage(status).catch((error: unknown) => `${describeError(error)}\n`);
    call.out(terminal ? `${CLEAR}${page}` : page);
    await pause(realClock, status.every, stop);
  }
  return 0;
}

/** What the flags ask for; InvalidConfig with all that is wrong with them. */
export function readStatus(call: Pick<Call, "flags" | "env">, terminal: boolean): StatusCall {
  const problems = new Problems();
  const flags = new FlagReader(call.flags.values, problems);
  const to = controlTargets(flags, problems);
  for (const word of call.flags.positionals) problems.add(word, "status takes no words, only flags");
  const watch = flags.boolean("watch") ?? false;
  const interval = flags.duration("interval", 100) ?? 1_000;
  const timeout = flags.duration("timeout") ?? 10_000;
  const json = flags.boolean("json") ?? false;
  problems.throwIfAny("cannot show the status");
  const colour = terminal && (call.env.get("NO_COLOR") ?? "") === "" ? "&colour" : "";
  return {
    to,
    path: json ? "/status?format=json" : `/status?format=text${colour}`,
    timeout,
    every: watch ? interval : undefined,
  };
}

async function fetchPage({ to, path, timeout }: StatusCall): Promise<string> {
  for (const target of to) {
    try {
      const { status, body } = await httpRequest({ to: target, path, timeout });
      const text = body.toString("utf8");
      if (status === 200) return text;
      throw new Refused(`cannot show the status: ${status} ${text.trim()}`);
    } catch (error) {
      if (error instanceof Refused) throw error;
      if (!nobodyThere.includes(errorCode(error) ?? "")) {
        throw new Refused(`cannot show the status: ${describeError(error)}`, { cause: error });
      }
    }
  }
  throw new Unavailable(`cannot show the status: nobody listens at ${targetsInWords(to)}; is the proxy running here?`);
}
