import { spawn } from "node:child_process";
import { constants } from "node:os";
import { isatty } from "node:tty";
import { sendSignal } from "./process.ts";
import { CannotStartProgram, type ExitReport } from "./programs.ts";

/** 128 + n, as shells and container runtimes tell a death by signal. */
export const signalExitCode = (signal: NodeJS.Signals): number => 128 + (constants.signals[signal] ?? 0);

/** What can be sent to a program and heard by us; Node keeps SIGPROF for itself, and STOP and KILL can't be heard. */
const passedOn: readonly NodeJS.Signals[] = [
  "SIGHUP",
  "SIGINT",
  "SIGQUIT",
  "SIGTERM",
  "SIGUSR1",
  "SIGUSR2",
  "SIGALRM",
  "SIGCONT",
  "SIGWINCH",
  "SIGPWR",
  "SIGURG",
  "SIGIO",
  "SIGVTALRM",
];
/** What a terminal sends to the whole foreground group, the program's process among it: twice would be once too often. */
const fromTerminal = new Set<NodeJS.Signals>(["SIGINT", "SIGQUIT", "SIGWINCH", "SIGCONT"]);

/**
 * Runs a program in our place: our standard streams, our process group (so that a terminal's job control knows it), and
 * every signal for us is its own. Rejects with CannotStartProgram when it does not start.
 */
export function runForeground(
  words: readonly string[],
  environment: ReadonlyMap<string, string>,
  onHandlers: () => void,
): Promise<ExitReport> {
  const [program = "", ...args] = words;
  return new Promise((resolve, reject) => {
    let pid: number | undefined;
    const early: NodeJS.Signals[] = [];
    const pass = (signal: NodeJS.Signals) =>
      pid === undefined ? void early.push(signal) : void sendSignal(pid, signal);
    const skipped = isatty(0) ? fromTerminal : new Set<NodeJS.Signals>();
    // A signal of the terminal is taken and dropped: its default action would end us before the program ends.
    const handlers = passedOn.map((name) => [name, () => (skipped.has(name) ? undefined : pass(name))] as const);
    for (const [name, handler] of handlers) process.on(name, handler);
    onHandlers();
    const over = () => {
      pid = undefined;
      for (const [name, handler] of handlers) process.off(name, handler);
    };
    const child = spawn(program, args, { env: Object.fromEntries(environment), stdio: "inherit" });
    pid = child.pid;
    for (const signal of early.splice(0)) pass(signal);
    child.once("error", (error) => {
      if (child.pid !== undefined) return;
      over();
      reject(new CannotStartProgram(program, error));
    });
    child.once("exit", (code, signal) => {
      over();
      resolve(signal === null ? { how: "exited", code: code ?? 0 } : { how: "killed", signal });
    });
  });
}
