import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { describeError, errorCode } from "../foundation/errors.ts";
import { executable } from "./files.ts";
import { sendSignal } from "./process.ts";

/** How a program ended: an exit code or a signal. */
export type ExitReport =
  | { readonly how: "exited"; readonly code: number }
  | { readonly how: "killed"; readonly signal: NodeJS.Signals };

/** The program could not be started at all. */
export class CannotStartProgram extends Error {
  override readonly name = "CannotStartProgram";
  /** The path that was tried. */
  readonly program: string;
  /** Node's code: ENOENT, EACCES, ENOEXEC, … */
  readonly code: string | undefined;
  constructor(program: string, cause: unknown) {
    super(`cannot start ${program}: ${describeError(cause)}`, { cause });
    this.program = program;
    this.code = errorCode(cause);
  }
}

export interface RunningProgram {
  readonly pid: number;
  /** To the whole process group, so that helpers of the program get it too. */
  signalGroup(signal: NodeJS.Signals): "sent" | "gone" | "refused";
  /** Kills what is left of the group after the program itself has ended. */
  endGroup(): void;
  /** To the program alone. */
  signal(signal: NodeJS.Signals): "sent" | "gone" | "refused";
}

export interface ProgramHooks {
  readonly onExit: (exit: ExitReport) => void;
}

export interface ProgramOptions {
  readonly environment: ReadonlyMap<string, string>;
  readonly directory?: string;
  /**
   * The kernel kills the program when we die. Done by setpriv, which execs, so the pid stays; not needed as PID 1,
   * where the whole namespace goes.
   */
  readonly dieWithUs?: boolean;
}

/**
 * Starts a program in a process group of its own: a Ctrl-C meant for us must not reach it before we chose to drain.
 * Throws CannotStartProgram when it does not start; after that, `onExit` is called exactly once.
 */
export function startProgram(
  program: string,
  args: readonly string[],
  options: ProgramOptions,
  hooks: ProgramHooks,
): RunningProgram {
  const wrapped = options.dieWithUs === true;
  const [file, words] = wrapped ? ["setpriv", ["--pdeathsig", "KILL", "--", program, ...args]] : [program, [...args]];
  const child = spawn(file, words, {
    env: Object.fromEntries(options.environment),
    stdio: ["ignore", "inherit", "inherit"],
    detached: true,
    ...(options.directory === undefined ? {} : { cwd: options.directory }),
  });
  const pid = child.pid;
  // Node reports a failed exec as an event of the next turn, but the missing pid tells it at once.
  if (pid === undefined) throw failedSpawn(child, program);
  // "exit", not "close": a grandchild that keeps our output open must not hide the program's death.
  child.once("exit", (code, signal) => {
    hooks.onExit(signal === null ? { how: "exited", code: code ?? 0 } : { how: "killed", signal });
  });
  child.on("error", () => undefined);
  return {
    pid,
    signalGroup: (signal) => sendTo(child, -pid, signal),
    // The group's number cannot be given to anybody else while a member lives; without one there is nobody to hit.
    endGroup: () => {
      sendSignal(-pid, "SIGKILL");
    },
    signal: (signal) => sendTo(child, pid, signal),
  };
}

/** Node emits the reason only in the next turn: ask again, synchronously, for an error that can be thrown now. */
function failedSpawn(child: ChildProcess, program: string): CannotStartProgram {
  child.once("error", () => undefined);
  const { error } = spawnSync(program, ["--version"], { stdio: "ignore", timeout: 2_000, killSignal: "SIGKILL" });
  const cause = error ?? new Error("it did not start at the first try");
  return new CannotStartProgram(program, cause);
}

/** A pid is free again once its exit was seen: never signal it after that. */
function sendTo(child: ChildProcess, target: number, signal: NodeJS.Signals): "sent" | "gone" | "refused" {
  if (child.exitCode !== null || child.signalCode !== null) return "gone";
  try {
    process.kill(target, signal);
    return "sent";
  } catch (error) {
    return errorCode(error) === "ESRCH" ? "gone" : "refused";
  }
}

export interface Finished {
  readonly exit: ExitReport | { readonly how: "not-started"; readonly reason: string } | { readonly how: "timed-out" };
  /** The first `limit` bytes of standard output and error. */
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a program to its end and collects what it says; never throws. Killed after `timeout` ms. */
export function runProgram(
  program: string,
  args: readonly string[],
  options: {
    readonly environment?: ReadonlyMap<string, string>;
    readonly timeout: number;
    readonly limit?: number;
    readonly input?: string;
  },
): Promise<Finished> {
  const limit = options.limit ?? 1024 * 1024;
  return new Promise((resolve) => {
    const child = spawn(program, [...args], {
      ...(options.environment ? { env: Object.fromEntries(options.environment) } : {}),
      stdio: ["pipe", "pipe", "pipe"],
      detached: true,
    });
    let [stdout, stderr] = ["", ""];
    let timedOut = false;
    const killGroup = (): void => {
      if (child.pid !== undefined) sendTo(child, -child.pid, "SIGKILL");
    };
    const finish = (exit: Finished["exit"]): void => {
      clearTimeout(timer);
      process.off("exit", killGroup);
      resolve({ exit, stdout, stderr });
    };
    const timer = setTimeout(() => {
      timedOut = true;
      killGroup();
    }, options.timeout);
    // Nobody waits for its answer any more when we end.
    process.on("exit", killGroup);
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      if (stdout.length < limit) stdout += text;
    });
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      if (stderr.length < limit) stderr += text;
    });
    child.stdin.on("error", () => undefined);
    child.stdin.end(options.input ?? "");
    child.once("error", (error) => finish({ how: "not-started", reason: describeError(error) }));
    // "close" here: all that it said is wanted. A grandchild that holds the pipe runs into the time-out.
    child.once("close", (code, signal) => {
      if (timedOut) finish({ how: "timed-out" });
      else if (signal !== null) finish({ how: "killed", signal });
      else if (code !== null && code >= 0) finish({ how: "exited", code });
    });
  });
}

/** The program's full path as PATH finds it; undefined when it is not there. */
export function findProgram(name: string, path: string): string | undefined {
  for (const folder of path.split(":")) {
    const candidate = `${folder === "" ? "." : folder}/${name}`;
    if (executable(candidate) === "yes") return candidate;
  }
  return undefined;
}
