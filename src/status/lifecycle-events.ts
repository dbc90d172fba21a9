import { describeError } from "../foundation/errors.ts";
import type { Facts, Level, Log } from "../foundation/log.ts";
import type { Clock, Millis } from "../foundation/time.ts";
import type { StatusSection } from "./status-document.ts";

export interface LifecycleEvent {
  readonly at: Date;
  /** Monotonic. */
  readonly since: Millis;
  /** Whose life: `envoy`, `certificate`, `drain`. */
  readonly part: string;
  /** One sentence. */
  readonly text: string;
  readonly bad: boolean;
}

/** So many are kept; the log has all of them. */
const KEPT = 50;
const LONGEST = 500;

/** The last things that happened, for `/status` and for the post-mortem. */
export class LifecycleEvents {
  readonly #clock: Clock;
  #events: readonly LifecycleEvent[] = [];

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  add(part: string, text: string, bad = false): void {
    const event = { at: this.#clock.wall(), since: this.#clock.monotonic(), part, text: text.slice(0, LONGEST), bad };
    this.#events = [...this.#events, event].slice(-KEPT);
  }

  /** Oldest first. */
  get all(): readonly LifecycleEvent[] {
    return this.#events;
  }

  /** Newest first, as a section. */
  section(): StatusSection {
    const now = this.#clock.monotonic();
    return {
      key: "events",
      title: "Last events",
      facts: [],
      table: {
        columns: [
          { key: "agoMs", label: "ago", unit: "ms" },
          { key: "part", label: "part" },
          { key: "text", label: "what" },
          { key: "at", label: "when" },
        ],
        rows: this.#events.toReversed().map(({ at, since, part, text, bad }) => ({
          cells: [now - since, part, text, at.toISOString()],
          ...(bad ? { mood: "bad" as const } : {}),
        })),
        wide: true,
        empty: "nothing has happened yet",
      },
    };
  }
}

/** A log whose lines, but not those for who debugs, are events too: what was worth a line is worth a row. */
export function recorded(log: Log, events: LifecycleEvents, scope = "default"): Log {
  const at =
    (level: Exclude<Level, "debug">) =>
    (text: string, facts?: Facts): void => {
      events.add(scope, sentence(text, facts), level !== "info");
      log[level](text, facts);
    };
  return {
    debug: log.debug,
    info: at("info"),
    warn: at("warn"),
    error: at("error"),
    scoped: (other) => recorded(log.scoped(other), events, other),
  };
}

/** `Envoy is live (epoch 0, tookMs 140)`. */
function sentence(text: string, facts: Facts = {}): string {
  const words = Object.entries(facts).map(([name, value]) => `${name} ${worded(value)}`);
  return words.length === 0 ? text : `${text} (${words.join(", ")})`;
}

function worded(value: unknown): string {
  if (typeof value === "string") return value;
  return value instanceof Error ? describeError(value) : (JSON.stringify(value) ?? "nothing");
}
