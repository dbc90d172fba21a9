import { postMortem, TERMINATION_MESSAGE_LIMIT } from "../status/post-mortem.ts";
import { statusJson } from "../status/status-document.ts";
import { realClock } from "../system/clock.ts";
import { writeTerminationMessage } from "../system/termination-log.ts";
import type { AgentParts } from "./agent-parts.ts";
import { stateSections } from "./status-page.ts";

/**
 * After an end that nobody asked for: the reason, the last events and how everything stood, where `kubectl describe pod`
 * shows them; how everything stood also in the log, which has the others already. The reason is the last line that was
 * worth an error.
 */
export function leavePostMortem(parts: AgentParts, exitCode: number): void {
  const { log, events } = parts;
  const { all } = events;
  const now = realClock.monotonic();
  const ending = {
    // The exit code is told beside it.
    reason: all.findLast((one) => one.bad)?.text.replace(/ \(exitCode \d+\)$/, "") ?? "ended without a word",
    exitCode,
    upMs: now - (all[0]?.since ?? now),
  };
  const state = stateSections(parts, ending.upMs);
  log.info("State at the end", statusJson(state));
  writeTerminationMessage(postMortem(ending, all, state, TERMINATION_MESSAGE_LIMIT));
}
