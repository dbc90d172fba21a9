import type * as PromClient from "prom-client";
import type { Definition } from "./metric-table.ts";

type Labels = Readonly<Record<string, string>>;

/**
 * prom-client behind the metric table. Counters, with every label value that the table lists, and histograms are there
 * from the start at 0, so that the first event is an increase; gauges appear with their first value.
 */
export class RegistryBook {
  readonly registry: PromClient.Registry;
  readonly #client: typeof PromClient;
  readonly #table: Readonly<Record<string, Definition>>;
  readonly #counters = new Map<string, PromClient.Counter>();
  readonly #gauges = new Map<string, PromClient.Gauge>();
  readonly #histograms = new Map<string, PromClient.Histogram>();
  /** Lines of metrics that have not changed since; how many changes there were. */
  readonly #printed = new Map<string, string>();
  #changes = 0;
  readonly #watched = new Map<string, () => Iterable<{ readonly labels: Labels; readonly value: number }>>();

  constructor(client: typeof PromClient, table: Readonly<Record<string, Definition>>) {
    this.#client = client;
    this.#table = table;
    this.registry = new client.Registry();
    for (const [name, { kind, labels }] of Object.entries(table)) {
      if (kind === "counter") for (const known of everyCombination(labels)) this.#counter(name).inc(known, 0);
      else if (kind === "histogram") this.#histogram(name).zero({});
    }
  }

  add(name: string, labels: Labels, by: number): void {
    if (!(by >= 0)) return;
    this.#counter(name).inc(labels, by);
    this.#changed(name);
  }

  set(name: string, labels: Labels, value: number): void {
    this.#gauge(name).set(labels, value);
    this.#changed(name);
  }

  observe(name: string, value: number): void {
    if (Number.isNaN(value)) return;
    this.#histogram(name).observe(value);
    this.#changed(name);
  }

  watch(name: string, read: () => Iterable<{ readonly labels: Labels; readonly value: number }>): void {
    this.#watched.set(name, read);
  }

  /** Asks what is watched, then prints all of it in text format 0.0.4. A gauge whose reader throws is left out. */
  async text(): Promise<string> {
    for (const [name, read] of this.#watched) {
      try {
        if (!this.#take(name, read())) this.#forget(name);
      } catch {
        this.#forget(name);
      }
    }
    let page = "";
    // Most are as they were at the last scrape.
    for (const { name } of this.registry.getMetricsAsArray())
      page += `${this.#printed.get(name) ?? (await this.#print(name))}\n`;
    return page;
  }

  async #print(name: string): Promise<string> {
    const changes = this.#changes;
    const lines = await this.registry.getSingleMetricAsString(name);
    // Not of metrics that somebody else has added, nor of one that has changed meanwhile.
    if (changes === this.#changes && this.#isOurs(name)) this.#printed.set(name, lines);
    return lines;
  }

  #isOurs(name: string): boolean {
    return this.#counters.has(name) || this.#gauges.has(name) || this.#histograms.has(name);
  }

  #changed(name: string): void {
    this.#changes++;
    this.#printed.delete(name);
  }

  /** False when there was no reading. */
  #take(name: string, readings: Iterable<{ readonly labels: Labels; readonly value: number }>): boolean {
    const gauge = this.#gauge(name);
    this.#changed(name);
    gauge.reset();
    let any = false;
    for (const { labels, value } of readings) {
      gauge.set(labels, value);
      any = true;
    }
    return any;
  }

  /** A gauge without a reading would stand there as 0 or as a bare heading. */
  #forget(name: string): void {
    this.registry.removeSingleMetric(name);
    this.#gauges.delete(name);
    this.#changed(name);
  }

  #counter(name: string): PromClient.Counter {
    return this.#made(this.#counters, name, (options) => new this.#client.Counter(options));
  }

  #gauge(name: string): PromClient.Gauge {
    return this.#made(this.#gauges, name, (options) => new this.#client.Gauge(options));
  }

  #histogram(name: string): PromClient.Histogram {
    const buckets = [...(this.#table[name]?.buckets ?? [])];
    return this.#made(this.#histograms, name, (options) => new this.#client.Histogram({ ...options, buckets }));
  }

  #made<M>(made: Map<string, M>, name: string, make: (options: Options) => M): M {
    const before = made.get(name);
    if (before !== undefined) return before;
    const { help = name, labels = {} } = this.#table[name] ?? {};
    const now = make({ name, help, labelNames: Object.keys(labels), registers: [this.registry] });
    made.set(name, now);
    return now;
  }
}

interface Options {
  readonly name: string;
  readonly help: string;
  readonly labelNames: string[];
  readonly registers: PromClient.Registry[];
}

/** Every combination of the listed label values; none when a label's values are not known beforehand. */
function everyCombination(labels: Definition["labels"]): readonly Labels[] {
  let all: readonly Labels[] = [{}];
  for (const [label, values] of Object.entries(labels)) {
    if (typeof values === "string") return [];
    all = all.flatMap((before) => values.map((value) => ({ ...before, [label]: value })));
  }
  return all;
}
