import { parseInteger } from "../../config/units.ts";
import { describeError } from "../../foundation/errors.ts";
import { becomeProgram, restoreOpenFiles } from "../../system/become-program.ts";
import { defaultSignals } from "../../system/early-signals.ts";
import { runForeground, signalExitCode } from "../../system/foreground-program.ts";
import { native } from "../../system/native.ts";
import { installReaper } from "../../system/orphans.ts";
import { isPid1 } from "../../system/process.ts";
import { CannotStartProgram } from "../../system/programs.ts";
import type { Call } from "../command.ts";

/** As shells have it: there is no such program; it is there, but can't be run. */
const [NOT_FOUND, NOT_RUN] = [127, 126];

/** Becomes the command (same pid); where that can't be done, runs it below us and passes everything on. */
export async function becomeCommand(command: readonly string[], call: Pick<Call, "env" | "err">): Promise<number> {
  const { ours, openFiles } = launcherSettings(call.env);
  const code = becomeProgram({ words: command, without: ours, openFiles });
  if (code === undefined) return runCommand(command, call);
  const error = Object.assign(new Error(code), { code });
  call.err(`pilotfish: cannot run "${command[0] ?? ""}": ${describeError(error)}\n`);
  return code === "ENOENT" ? NOT_FOUND : NOT_RUN;
}

/** Runs the command below us to its end; its exit code, or 128 + n when a signal ended it. */
export async function runCommand(command: readonly string[], call: Pick<Call, "env" | "err">): Promise<number> {
  const { ours, openFiles } = launcherSettings(call.env);
  if (openFiles !== undefined) restoreOpenFiles(openFiles);
  const environment = new Map([...call.env].filter(([name]) => !ours.includes(name)));
  const calls = isPid1 ? native() : undefined;
  const uninstall = calls === undefined ? () => undefined : installReaper(calls);
  try {
    const exit = await runForeground(command, environment, defaultSignals);
    return exit.how === "exited" ? exit.code : signalExitCode(exit.signal);
  } catch (error) {
    if (!(error instanceof CannotStartProgram)) throw error;
    call.err(`pilotfish: cannot run "${command[0] ?? ""}": ${describeError(error.cause)}\n`);
    return error.code === "ENOENT" ? NOT_FOUND : NOT_RUN;
  } finally {
    uninstall();
  }
}

/** What the launcher set for us alone, and what it saw before Node changed it. */
function launcherSettings(env: ReadonlyMap<string, string>): {
  readonly ours: readonly string[];
  readonly openFiles: number | undefined;
} {
  const tuned = (env.get("PILOTFISH_TUNING") ?? "").split(" ").filter((name) => name !== "");
  return {
    ours: ["PILOTFISH_TUNING", "PILOTFISH_OPEN_FILES", ...tuned],
    openFiles: parseInteger(env.get("PILOTFISH_OPEN_FILES") ?? ""),
  };
}
