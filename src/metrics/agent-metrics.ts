import type { Registry } from "prom-client";
import type { OwnUsage } from "../system/own-usage.ts";
import {
  type CounterName,
  type Definition,
  type GaugeName,
  type HistogramName,
  type LabelsOf,
  type MetricName,
  metricTable,
} from "./metric-table.ts";
import { processLines } from "./process-lines.ts";
import { RegistryBook } from "./registry-book.ts";

type NoLabels = Readonly<Record<string, never>>;
/** Labels may be left out where a metric has none. */
type LabelArguments<N extends MetricName> = LabelsOf<N> extends NoLabels ? [] : [labels: LabelsOf<N>];

/** One value that is asked for at each scrape. */
export interface Reading<N extends MetricName> {
  readonly labels: LabelsOf<N>;
  readonly value: number;
}

/**
 * Our own metrics, typed by metric-table.ts: a wrong name, label or label value does not compile.
 * Recording never throws and costs next to nothing before the first scrape, which loads prom-client.
 */
export interface AgentMetrics {
  /** Adds 1. */
  count<N extends CounterName>(name: N, ...labels: LabelArguments<N>): void;
  /** Adds `by`, which must not be negative. */
  add<N extends CounterName>(name: N, by: number, ...labels: LabelArguments<N>): void;
  set<N extends GaugeName>(name: N, value: number, ...labels: LabelArguments<N>): void;
  /** One observation, in the unit that the name ends with. */
  observe(name: HistogramName, value: number): void;
  /** A gauge that is asked at each scrape instead of being set; the last one given for a name counts. */
  watch<N extends GaugeName>(name: N, read: () => Iterable<Reading<N>>): void;
  /** The page in text format 0.0.4. */
  text(): Promise<string>;
  /** prom-client's registry, for who wants to add a metric that is not in the table. */
  registry(): Promise<Registry>;
}

export interface AgentMetricsDeps {
  readonly usage: () => OwnUsage;
  /** Labels of pilotfish_build_info. */
  readonly build: LabelsOf<"pilotfish_build_info">;
}

/** Updates that wait for the registry; more than that and it is loaded without waiting for a scrape. */
const MOST_WAITING = 500;

export function createAgentMetrics(deps: AgentMetricsDeps): AgentMetrics {
  let waiting: ((book: RegistryBook) => void)[] = [];
  let loaded: RegistryBook | undefined;
  let loading: Promise<RegistryBook> | undefined;
  const load = (): Promise<RegistryBook> => {
    loading ??= import("prom-client").then((client) => {
      const book = new RegistryBook(client, metricTable as Readonly<Record<string, Definition>>);
      for (const update of waiting) update(book);
      waiting = [];
      loaded = book;
      return book;
    });
    return loading;
  };
  const use = (update: (book: RegistryBook) => void): void => {
    if (loaded !== undefined) return update(loaded);
    waiting.push(update);
    if (waiting.length === MOST_WAITING) void load();
  };
  use((book) => book.set("pilotfish_build_info", deps.build, 1));
  return {
    count: (name, ...[labels]) => use((book) => book.add(name, plain(labels), 1)),
    add: (name, by, ...[labels]) => use((book) => book.add(name, plain(labels), by)),
    set: (name, value, ...[labels]) => use((book) => book.set(name, plain(labels), value)),
    observe: (name, value) => use((book) => book.observe(name, value)),
    watch: (name, read) =>
      use((book) =>
        book.watch(name, () => Array.from(read(), ({ labels, value }) => ({ labels: plain(labels), value }))),
      ),
    registry: async () => (await load()).registry,
    text: async () => (await (await load()).text()) + processLines(deps.usage()),
  };
}

/** The table's types say that every label is a text; TypeScript can't follow that through the mapped type. */
const plain = (labels: object | undefined): Readonly<Record<string, string>> =>
  (labels ?? {}) as Readonly<Record<string, string>>;
