import { postMortem, TERMINATION_MESSAGE_LIMIT } from "../status/post-mortem.ts";
import { envoySection } from "../status/status-sections.ts";
import { realClock } from "../system/clock.ts";
import { writeTerminationMessage } from "../system/termination-log.ts";
import type { AgentParts } from "./agent.ts";

/**
 * After an end that nobody asked for: the reason and the last events, where `kubectl describe pod` shows them. The
 * reason is the last line that was worth an error.
 */
export function leavePostMortem({ envoy, events }: AgentParts, exitCode: number): void {
  const { all } = events;
  const now = realClock.monotonic();
  const ending = {
    // The exit code is told beside it.
    reason: all.findLast((one) => one.bad)?.text.replace(/ \(exitCode \d+\)$/, "") ?? "ended without a word",
    exitCode,
    upMs: now - (all[0]?.since ?? now),
  };
  writeTerminationMessage(postMortem(ending, all, [envoySection(envoy.snapshot(), now)], TERMINATION_MESSAGE_LIMIT));
}
