import { InternalError, InvalidConfig, Refused, Unavailable } from "../foundation/errors.ts";
import { catchUncaught, commandLine, onUncaught, toStderr, toStdout } from "../system/command-line.ts";
import { defaultSignals } from "../system/early-signals.ts";
import { environment, exitNow } from "../system/process.ts";
import type { Command, ParsedFlags } from "./command.ts";
import { commandNamed, commands } from "./commands.ts";
import { exitCodeOf, exitCodes } from "./exit-codes.ts";
import { commandHelp, programHelp } from "./help-text.ts";
import { nearMiss } from "./near-miss.ts";
import { logOptions } from "./options/log-options.ts";
import { parseArguments } from "./parse-arguments.ts";

/** What the program sees of the outside, as values and functions. */
export interface Outside {
  readonly words: readonly string[];
  readonly env: ReadonlyMap<string, string>;
  readonly out: (text: string) => void;
  readonly outBytes?: (bytes: Uint8Array) => void;
  readonly err: (text: string) => void;
  /** Gives the signals their default action back. */
  readonly defaultSignals: () => void;
}

/** The program: looks up the command, runs it, turns its answer into an exit code. */
export async function main(): Promise<void> {
  catchUncaught();
  onUncaught((error) => {
    toStderr(errorText(error));
    exitNow(exitCodeOf(error));
  });
  const outside = {
    words: commandLine(),
    env: environment(),
    out: toStdout,
    outBytes: toStdout,
    err: toStderr,
    defaultSignals,
  };
  exitNow(await runProgram(outside, commands));
}

/** Never throws: an error becomes text on stderr and its exit code. */
export async function runProgram(outside: Outside, table: readonly Command[]): Promise<number> {
  try {
    return await runCommand(outside, table);
  } catch (error) {
    outside.err(errorText(error));
    return exitCodeOf(error);
  }
}

async function runCommand(outside: Outside, table: readonly Command[]): Promise<number> {
  const { name, words } = splitCommand(outside.words);
  if (name === undefined) return withoutCommand(outside, words, table);
  const command = commandNamed(table, name);
  if (command.signals !== "own") outside.defaultSignals();
  const { flags, help } = parseArguments(words, command.options);
  if (help) {
    outside.out(commandHelp(command));
    return exitCodes.ok;
  }
  judge(command, flags, outside);
  const { run } = await command.load();
  const { env, out, outBytes, err } = outside;
  return run({ flags, env, program: "pilotfish", out, err, ...(outBytes === undefined ? {} : { outBytes }) });
}

/** The command's name and the words for it: log flags may stand before the name too, as with pilot-agent. */
function splitCommand(words: readonly string[]): {
  readonly name: string | undefined;
  readonly words: readonly string[];
} {
  for (let at = 0; at < words.length; at++) {
    const word = words[at] ?? "";
    if (!word.startsWith("-")) return { name: word, words: [...words.slice(0, at), ...words.slice(at + 1)] };
    const option = logOptions.find((one) => word === `--${one.name}`);
    if (option !== undefined && option.kind !== "boolean") at++;
  }
  return { name: undefined, words };
}

async function withoutCommand(outside: Outside, words: readonly string[], table: readonly Command[]): Promise<number> {
  await Promise.resolve();
  if (words.includes("--version")) return runCommand({ ...outside, words: ["version"] }, table);
  const asked = words.includes("-h") || words.includes("--help");
  (asked ? outside.out : outside.err)(programHelp(table));
  if (asked) return exitCodes.ok;
  outside.err("\npilotfish: cannot run: no command was given; name one of those above\n");
  return exitCodes.usage;
}

/** Unknown flags are a warning or an error, unusable words an error unless the command reports them itself. */
function judge(command: Command, flags: ParsedFlags, outside: Outside): void {
  const unknown = [...new Set(flags.unknown)];
  const problems = [...(command.ownProblems === true ? [] : (flags.problems ?? []))];
  if (command.unknownFlags === "error") {
    const known = command.options.map((option) => `--${option.name}`);
    for (const flag of unknown) problems.push({ name: flag, text: unknownText(command, nearMiss(flag, known)) });
  } else if (unknown.length > 0) {
    outside.err(`pilotfish: warning: ignored flags that are not known: ${unknown.join(", ")}\n`);
  }
  if (problems.length > 0) throw new InvalidConfig(problems, `cannot run "${command.name}"`);
}

function unknownText(command: Command, near: string | undefined): string {
  const suggestion = near === undefined ? "" : `did you mean ${near}? `;
  return `there is no such flag; ${suggestion}"pilotfish help ${command.name}" lists them`;
}

/** What a person reads on stderr. An expected error is its sentence; a bug shows where it happened. */
export function errorText(error: unknown): string {
  if (error instanceof InvalidConfig || error instanceof Unavailable || error instanceof Refused) {
    return `pilotfish: ${error.message}\n`;
  }
  const bug = error instanceof InternalError ? error : new InternalError(String(error), { cause: error });
  const stack = error instanceof Error ? (error.stack ?? "") : "";
  return `pilotfish: ${bug.message}\n${stack === "" ? "" : `${stack}\n`}`;
}
