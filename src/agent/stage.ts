import { describeError } from "../foundation/errors.ts";
import type { Log } from "../foundation/log.ts";
import { type Clock, type Millis, within } from "../foundation/time.ts";

/** One part of the daemon: started in order, stopped in reverse. */
export interface Stage {
  readonly name: string;
  start(): Promise<void> | void;
  stop(): Promise<void> | void;
  /** How long `stop` may take before it is left alone, ms. Default 3 s. */
  readonly stopWithin?: Millis;
}

const STOP_WITHIN: Millis = 3_000;

/**
 * Starts the stages in order, waits for `untilStopped`, and stops what was started in reverse. A stage is on the undo
 * list before its start, so that a half-done start is undone too. The error of a start is thrown after the undoing; one
 * stuck or failing `stop` cannot hold the others.
 */
export async function runStages(
  stages: readonly Stage[],
  untilStopped: () => Promise<unknown>,
  deps: { readonly clock: Clock; readonly log: Log },
): Promise<void> {
  const started: Stage[] = [];
  try {
    for (const stage of stages) {
      started.unshift(stage);
      await stage.start();
    }
    await untilStopped();
  } finally {
    for (const stage of started) await stopStage(stage, deps);
  }
}

async function stopStage(stage: Stage, deps: { readonly clock: Clock; readonly log: Log }): Promise<void> {
  try {
    const done = await within(deps.clock, stage.stopWithin ?? STOP_WITHIN, Promise.resolve(stage.stop()));
    if (done.timedOut) deps.log.warn("A part did not stop in time and is left", { part: stage.name });
  } catch (error) {
    deps.log.warn("A part did not stop cleanly", { part: stage.name, error: describeError(error) });
  }
}
