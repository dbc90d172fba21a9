import { escapeValue } from "./exposition.ts";
import type { FailureCause, Tally } from "./tally.ts";

/** How one source fared in this very scrape. */
export interface SourceResult {
  readonly tally: Tally;
  /** From the start of the scrape until its part was done. */
  readonly seconds: number;
  readonly failure: FailureCause | undefined;
}

type Value = readonly [labels: Readonly<Record<string, string>>, value: number];

interface ReportFamily {
  readonly name: string;
  readonly help: string;
  readonly values: (result: SourceResult) => readonly Value[];
}

const one =
  (read: (result: SourceResult) => number): ReportFamily["values"] =>
  (result) => [[{}, read(result)]];

/** What every merged page says about itself, behind all sources. All gauges: they are of this scrape alone. */
export const reportFamilies: readonly ReportFamily[] = [
  {
    name: "pilotfish_scrape_source_up",
    help: "1 when the whole page of the source was read in this scrape.",
    values: one(({ failure }) => (failure === undefined ? 1 : 0)),
  },
  {
    name: "pilotfish_scrape_source_duration_seconds",
    help: "Time from the start of this scrape until the source was done.",
    values: one(({ seconds }) => Math.round(seconds * 1e6) / 1e6),
  },
  {
    name: "pilotfish_scrape_source_bytes",
    help: "Bytes of the source's page that were read.",
    values: one(({ tally }) => tally.bytes),
  },
  {
    name: "pilotfish_scrape_source_samples",
    help: "Samples of the source on this page.",
    values: one(({ tally }) => tally.samples),
  },
  {
    name: "pilotfish_scrape_source_families",
    help: "Families of the source on this page.",
    values: one(({ tally }) => tally.families),
  },
  {
    name: "pilotfish_scrape_source_failure",
    help: "1 with the reason for which the source is not wholly on this page.",
    values: ({ failure }) => (failure === undefined ? [] : [[{ cause: failure }, 1]]),
  },
  {
    name: "pilotfish_scrape_source_dropped_samples",
    help: "Samples (or lines) of the source that were left out of this page, by reason.",
    values: ({ tally }) => [...tally.dropped].map(([reason, count]) => [{ reason }, count]),
  },
  {
    name: "pilotfish_scrape_dropped_family_samples",
    help: "Samples that were left out because an earlier source has a family of that name.",
    values: ({ tally }) => [...tally.droppedFamilies].map(([family, count]) => [{ family }, count]),
  },
];

/** The report as part of a page of either form. */
export function reportLines(results: readonly SourceResult[]): string {
  return reportFamilies
    .map(({ name, help, values }) => {
      const lines = results.flatMap((result) =>
        values(result).map(
          ([labels, value]) => `${name}{${pairs({ source: result.tally.source, ...labels })}} ${value}\n`,
        ),
      );
      return lines.length === 0 ? "" : `# HELP ${name} ${help}\n# TYPE ${name} gauge\n${lines.join("")}`;
    })
    .join("");
}

const pairs = (labels: Readonly<Record<string, string>>): string =>
  Object.entries(labels)
    .map(([name, value]) => `${name}="${escapeValue(value)}"`)
    .join(",");
