import type { Clock, Millis } from "../foundation/time.ts";
import type { SourceResult } from "../metrics/scrape-report.ts";
import type { Row, StatusSection } from "./status-document.ts";

/** How each source of the merged metrics fared in the last scrape that had it, for the status page. */
export class LastScrapes {
  readonly #clock: Clock;
  readonly #last = new Map<string, { readonly at: Millis; readonly result: SourceResult }>();
  #scrapes = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  note(results: readonly SourceResult[]): void {
    const at = this.#clock.monotonic();
    this.#scrapes += 1;
    for (const result of results) this.#last.set(result.tally.source, { at, result });
  }

  section(): StatusSection {
    const now = this.#clock.monotonic();
    return {
      key: "scrapes",
      title: "Last scrape of each source",
      facts: [{ key: "scrapes", label: "scrapes so far", value: this.#scrapes }],
      table: {
        columns: [
          { key: "source", label: "source" },
          { key: "agoMs", label: "ago", unit: "ms" },
          { key: "tookMs", label: "done after", unit: "ms" },
          { key: "bytes", label: "size", unit: "bytes" },
          { key: "samples", label: "samples" },
          { key: "outcome", label: "outcome" },
        ],
        rows: [...this.#last].map(([source, { at, result }]) => row(source, now - at, result)),
        empty: "nobody has asked for /stats/prometheus yet",
      },
    };
  }
}

function row(source: string, ago: Millis, { tally, seconds, failure }: SourceResult): Row {
  const left = [...tally.dropped.values()].reduce((sum, count) => sum + count, 0);
  const outcome = failure ?? (left === 0 ? "whole" : `${left} samples left out`);
  return {
    cells: [source, ago, seconds * 1_000, tally.bytes, tally.samples, outcome],
    mood: failure === undefined ? (left === 0 ? "good" : "waiting") : "bad",
  };
}
