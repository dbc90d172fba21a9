/**
 * The first statement of the program. The kernel gives PID 1 no default action: a SIGTERM that comes before a handler
 * is there is lost, and everybody else would die of it. So handlers stand before anything heavy is loaded, and keep
 * what came until somebody asks.
 */
export type AgentSignal = "SIGTERM" | "SIGINT" | "SIGHUP" | "SIGUSR1" | "SIGQUIT";

const names: readonly AgentSignal[] = ["SIGTERM", "SIGINT", "SIGHUP", "SIGUSR1", "SIGQUIT"];
const waiting: AgentSignal[] = [];
let listener: ((signal: AgentSignal) => void) | undefined;

const onSignal = (name: AgentSignal): void => {
  if (listener) listener(name);
  else waiting.push(name);
};
const handlers = names.map((name) => [name, () => onSignal(name)] as const);
for (const [name, handler] of handlers) process.on(name, handler);

/** Hands over what came so far and all that comes. One listener at a time. */
export function onSignals(hear: (signal: AgentSignal) => void): () => void {
  listener = hear;
  for (const signal of waiting.splice(0)) hear(signal);
  return () => {
    if (listener === hear) listener = undefined;
  };
}

/**
 * Gives the signals their default action back: for commands that are no supervisor. A signal that came meanwhile takes
 * its effect now.
 */
export function defaultSignals(): void {
  for (const [name, handler] of handlers) process.off(name, handler);
  for (const signal of waiting.splice(0)) process.kill(process.pid, signal);
}
