import type { Log } from "./log.ts";

/**
 * Wraps a callback of a timer, a signal or a socket: an error in it must not end PID 1 silently. `onBug` hears of it
 * (the agent then stops in order with exit code 70).
 */
export function guarded<A extends readonly unknown[]>(
  where: string,
  log: Log,
  onBug: (error: unknown) => void,
  body: (...args: A) => void,
): (...args: A) => void {
  return (...args) => {
    try {
      body(...args);
    } catch (error) {
      log.error("internal error", { where, error });
      onBug(error);
    }
  };
}
