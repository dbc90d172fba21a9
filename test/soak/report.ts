import type { LoadFailure, LoadReport } from "../helpers/load/load.ts";
import { sortFailures, type Window } from "./windows.ts";

/** Of the supervisor, when everything is quiet. */
export interface Sample {
  readonly at: number;
  readonly residentKb: number;
  /** Without the pages of files (RssAnon). */
  readonly ownKb: number;
  /** What they lead to. */
  readonly descriptors: readonly string[];
  readonly zombies: number;
}

export interface Facts {
  readonly minutes: number;
  readonly seed: number;
  /** By fault, how often. */
  readonly rounds: ReadonlyMap<string, number>;
  readonly report: LoadReport;
  readonly windows: readonly Window[];
  readonly samples: readonly Sample[];
  /** What did not come to rest, or was left behind. */
  readonly problems: readonly string[];
  readonly oldEnds: number;
}

/** So much may own memory grow from the second quarter of the run to its last; the first fills caches. */
const MOST_GROWTH_KB = 8_192;

const middle = (numbers: readonly number[]): number =>
  [...numbers].sort((a, b) => a - b)[Math.floor(numbers.length / 2)] ?? 0;

function quarters(samples: readonly Sample[], of: (sample: Sample) => number): readonly number[] {
  const size = Math.ceil(samples.length / 4);
  return [0, 1, 2, 3].map((n) => middle(samples.slice(n * size, (n + 1) * size).map(of)));
}

/** What speaks against it; empty when all is well. */
export function verdict(facts: Facts): readonly string[] {
  const { avoidable } = sortFailures(facts.report.failures(), facts.windows, facts.oldEnds);
  const [, second = 0, , last = 0] = quarters(facts.samples, ({ ownKb }) => ownKb);
  const [fewest, most] = [facts.samples[0], facts.samples.at(-1)].map((one) => one?.descriptors.length ?? 0);
  return [
    ...facts.problems,
    ...(avoidable.length > 0 ? [`${avoidable.length} failures that could have been avoided`] : []),
    ...(facts.report.tally.unlisted > 0 ? [`${facts.report.tally.unlisted} failures too many to be looked at`] : []),
    ...(facts.samples.length >= 16 && last - second > MOST_GROWTH_KB ? [`memory grew by ${last - second} kB`] : []),
    ...(facts.samples.some(({ zombies }) => zombies > 0) ? ["zombies while everything was quiet"] : []),
    ...((most ?? 0) > (fewest ?? 0) + 2 ? [`descriptors: ${fewest} at first, ${most} at last`] : []),
  ];
}

const line = (failure: LoadFailure): string =>
  `  ${new Date(failure.failed).toISOString().slice(11, 23)} ${failure.entry} ${failure.what}, begun ` +
  `${Math.round(failure.failed - failure.began)} ms before, connection ${Math.round(failure.connectionAge ?? -1)} ms ` +
  `old, ${failure.requestsBefore} requests before: ${failure.text}`;

/** Sockets have another number each time; of files it says which are new. */
function descriptorsText(samples: readonly Sample[]): string {
  const [first, last] = [samples[0]?.descriptors ?? [], samples.at(-1)?.descriptors ?? []];
  const kinds = (all: readonly string[]): readonly string[] => all.map((one) => one.replace(/\d+/g, "N")).sort();
  const before = [...kinds(first)];
  const more = kinds(last).filter((one) => {
    const at = before.indexOf(one);
    if (at >= 0) before.splice(at, 1);
    return at < 0;
  });
  const named = more.length > 0 ? ` (more: ${more.join(" ")})` : "";
  return `descriptors: ${first.length} at first, ${last.length} at last${named}; zombies ${samples.at(-1)?.zombies}`;
}

/** The tally for people. */
export function tallyText(facts: Facts): string {
  const { report, samples } = facts;
  const { avoidable, unavoidable } = sortFailures(report.failures(), facts.windows, facts.oldEnds);
  const rounds = [...facts.rounds].map(([name, count]) => `${count} x ${name}`);
  const [memory, own] = [quarters(samples, (one) => one.residentKb), quarters(samples, (one) => one.ownKb)];
  const megabytes = (kb: readonly number[]): string => kb.map((one) => (one / 1_024).toFixed(1)).join(", ");
  const against = verdict(facts);
  return [
    "",
    `seed ${facts.seed}, ${facts.minutes} min, faults: ${[...facts.rounds.values()].reduce((a, b) => a + b, 0)} (${rounds.join(", ")})`,
    `requests ${report.requests}, good ${report.ok}, failed ${report.failed}`,
    `  ${String(report)}`,
    `unavoidable ${[...unavoidable.values()].reduce((a, b) => a + b, 0)}:`,
    ...[...unavoidable].map(([why, count]) => `  ${count} ${why}`),
    `avoidable ${avoidable.length}${avoidable.length > 0 ? ":" : ""}`,
    ...avoidable.slice(0, 40).map(line),
    `memory of the supervisor by quarters of the run, MB: resident ${megabytes(memory)}; own ${megabytes(own)}`,
    descriptorsText(samples),
    against.length === 0 ? "GOOD" : `BAD: ${against.join("; ")}`,
    "",
  ].join("\n");
}
