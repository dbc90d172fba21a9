import type { Millis } from "../../foundation/time.ts";
import { cleanBook } from "../crash-book.ts";
import type { RestartOutcome } from "../launch.ts";
import {
  type Effect,
  type EpochRecord,
  type EventOf,
  type HistoryEntry,
  type Ledger,
  type LifecycleState,
  type Restart,
  type Step,
  tell,
} from "./states.ts";

export const cleanLedger: Ledger = {
  book: cleanBook,
  queue: undefined,
  runs: 0,
  lineages: 0,
  everLive: false,
  servesSince: undefined,
  toDrain: undefined,
};

/** A record for the next process, and the ledger that knows of it. */
export function nextRecord(
  ledger: Ledger,
  now: Millis,
  what: Pick<EpochRecord, "epoch" | "lineage" | "cause">,
): { readonly record: EpochRecord; readonly ledger: Ledger } {
  const run = ledger.runs + 1;
  const { epoch, lineage, cause } = what;
  const lineages = Math.max(ledger.lineages, lineage);
  return {
    record: { run, epoch, lineage, cause, startedAt: now, liveAt: undefined, adminLost: false },
    ledger: { ...ledger, runs: run, lineages },
  };
}

/** Nobody serves yet, so nobody can drain: whoever serves next does, at once. Nothing is restarted meanwhile. */
export function rememberDrain<S extends Exclude<LifecycleState, { is: "gone" }>>(
  state: S,
  event: EventOf<"drain">,
): Step {
  const { ledger } = state;
  const said = tell("info", "Envoy drains as soon as it serves", { reason: event.reason });
  return {
    next: { ...state, ledger: { ...withoutQueue(ledger), toDrain: ledger.toDrain ?? event.reason } },
    effects: [said, ...overtaken(ledger, event.reason)],
  };
}

/** Wishes that wait become one; the strictest wins. */
export function enqueue(ledger: Ledger, wish: Restart): Ledger {
  const { queue } = ledger;
  if (queue === undefined) return { ...ledger, queue: wish };
  const causes = queue.cause.split(", ").includes(wish.cause) ? queue.cause : `${queue.cause}, ${wish.cause}`;
  return {
    ...ledger,
    queue: {
      ids: [...queue.ids, ...wish.ids],
      cause: causes,
      strategy: queue.strategy === "swap" ? "swap" : wish.strategy,
      explicit: queue.explicit || wish.explicit,
      ignoreMemory: queue.ignoreMemory || wish.ignoreMemory,
      since: Math.min(queue.since, wish.since),
      attempt: 0,
    },
  };
}

/** The cell of every state in which a wish has to wait. */
export function queueRestart<S extends Exclude<LifecycleState, { is: "gone" }>>(
  state: S,
  event: EventOf<"restart">,
): Step {
  return { next: { ...state, ledger: enqueue(state.ledger, event.restart) }, effects: [] };
}

/** One Envoy serves, nothing else is going on: what waits is begun. */
export function serve(current: EpochRecord, ledger: Ledger): Step {
  const { queue: restart } = ledger;
  if (restart === undefined) return { next: { is: "live", current, retry: undefined, ledger }, effects: [] };
  return check(current, restart, { ...ledger, queue: undefined });
}

export function check(current: EpochRecord, restart: Restart, ledger: Ledger): Step {
  return {
    next: { is: "checking", current, restart, ledger },
    effects: [{ run: "check", of: current, restart }],
  };
}

/** Answers everybody who waits, in the queue too: nothing will be restarted any more. */
export function overtaken(ledger: Ledger, why: string, running?: Restart): readonly Effect[] {
  return [running, ledger.queue].flatMap((one) => (one === undefined ? [] : [answer(one, { is: "overtaken", why })]));
}

export const withoutQueue = (ledger: Ledger): Ledger => ({ ...ledger, queue: undefined });

export const answer = (restart: Restart, outcome: RestartOutcome): Effect => ({
  run: "answer",
  ids: restart.ids,
  outcome,
});

export const record = (entry: HistoryEntry): Effect => ({ run: "record", entry });
