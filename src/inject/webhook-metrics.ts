import type { Millis } from "../foundation/time.ts";
import type { ReviewOutcome } from "./review.ts";

/** Counts of the webhook, as a page for Prometheus. */
export class WebhookMetrics {
  #requests = 0;
  readonly #results = new Map<ReviewOutcome["result"], number>();
  readonly #skipped = new Map<string, number>();
  readonly #refusedHttp = new Map<number, number>();
  readonly #buckets: number[] = bounds.map(() => 0);
  #seconds = 0;
  #answered = 0;
  #certificateEnds = 0;

  /** A review was answered. */
  reviewed(outcome: ReviewOutcome, took: Millis): void {
    this.#requests++;
    count(this.#results, outcome.result);
    if (outcome.result === "skipped") count(this.#skipped, outcome.reason);
    const seconds = took / 1_000;
    this.#seconds += seconds;
    this.#answered++;
    bounds.forEach((bound, index) => {
      if (seconds <= bound) this.#buckets[index] = (this.#buckets[index] ?? 0) + 1;
    });
  }

  /** A request was turned away before it was a review. */
  turnedAway(status: number): void {
    this.#requests++;
    count(this.#refusedHttp, status);
  }

  /** Seconds since 1970. */
  certificateEnds(at: number): void {
    this.#certificateEnds = at;
  }

  page(): string {
    const line = (name: string, value: number, labels = ""): string => `${name}${labels} ${value}\n`;
    const of = (result: ReviewOutcome["result"]): number => this.#results.get(result) ?? 0;
    return [
      head("requests_total", "counter", "Requests to the webhook, whatever became of them."),
      line(`${prefix}requests_total`, this.#requests),
      head("injected_total", "counter", "Pods that got a proxy."),
      line(`${prefix}injected_total`, of("injected")),
      head("skipped_total", "counter", "Pods and other objects that were let through unchanged, by reason."),
      ...sorted(this.#skipped).map(([reason, n]) => line(`${prefix}skipped_total`, n, `{reason="${reason}"}`)),
      head(
        "failed_total",
        "counter",
        "Requests without a pod: refused pods, unreadable reviews, HTTP errors by status.",
      ),
      line(`${prefix}failed_total`, of("refused"), '{reason="refused"}'),
      line(`${prefix}failed_total`, of("bad"), '{reason="bad-review"}'),
      ...sorted(this.#refusedHttp).map(([status, n]) => line(`${prefix}failed_total`, n, `{reason="http-${status}"}`)),
      head("review_seconds", "histogram", "From the whole request to the answer."),
      ...bounds.map((bound, at) => line(`${prefix}review_seconds_bucket`, this.#buckets[at] ?? 0, `{le="${bound}"}`)),
      line(`${prefix}review_seconds_bucket`, this.#answered, '{le="+Inf"}'),
      line(`${prefix}review_seconds_sum`, Number(this.#seconds.toFixed(6))),
      line(`${prefix}review_seconds_count`, this.#answered),
      head("certificate_end_seconds", "gauge", "When the serving certificate ends, in seconds since 1970."),
      line(`${prefix}certificate_end_seconds`, this.#certificateEnds),
    ].join("");
  }
}

const prefix = "pilotfish_webhook_";
const bounds = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1] as const;

const head = (name: string, type: string, help: string): string =>
  `# HELP ${prefix}${name} ${help}\n# TYPE ${prefix}${name} ${type}\n`;

function count<K>(map: Map<K, number>, key: K): void {
  map.set(key, (map.get(key) ?? 0) + 1);
}

const sorted = <K extends string | number>(map: ReadonlyMap<K, number>): readonly (readonly [K, number])[] =>
  [...map].sort(([left], [right]) => (left < right ? -1 : 1));
