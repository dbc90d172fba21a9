import type { Clock, Millis } from "../foundation/time.ts";
import { within } from "../foundation/time.ts";
import type { BodyStream } from "../system/body-stream.ts";
import type { Agreed } from "./negotiate.ts";
import { openSource } from "./open-source.ts";
import { MergedPage } from "./page.ts";
import type { PageOutput } from "./page-output.ts";
import type { PageWriter } from "./page-writer.ts";
import { failureOf, readSource } from "./read-source.ts";
import { reportFamilies, reportLines, type SourceResult } from "./scrape-report.ts";
import { deadlines, type Source } from "./scrape-sources.ts";
import { SourceMerge } from "./source-merge.ts";
import { CutOff, type FailureCause, Tally } from "./tally.ts";

export interface ScrapeDeps {
  readonly clock: Clock;
  readonly agreed: Agreed;
  readonly sources: readonly Source[];
  /** Our own page, text format 0.0.4. */
  readonly own: () => Promise<string>;
  /** Time for the whole page. */
  readonly budget: Millis;
  readonly writer: PageWriter;
  readonly output: PageOutput;
  /** Aborts when the scraper is gone. */
  readonly signal: AbortSignal;
  /** Told once for each source, as soon as it is done. */
  readonly onResult: (source: Source, failure: FailureCause | undefined, text: string) => void;
  /** Told once, when all sources are done. */
  readonly onReport?: ((results: readonly SourceResult[]) => void) | undefined;
  /** Our own page could not be made: a bug, but no reason to keep the others' from the scraper. */
  readonly onOwnFailure: (error: unknown) => void;
}

/** One for all: making an error costs more than a small page. */
const over = new Error("the scrape is over");

interface Asked {
  readonly source: Source;
  readonly deadline: Millis;
  readonly stop: AbortController;
  readonly head: Promise<BodyStream>;
}

/**
 * One scrape: all sources are asked at once, then read in order, each within its deadline; what comes goes out as it
 * comes. A source that fails or is cut off leaves the page valid; it ends with a report on all of them. Throws only
 * when the scraper itself is gone.
 */
export async function scrape(deps: ScrapeDeps): Promise<void> {
  const { clock, agreed, writer, output, signal, budget } = deps;
  const started = clock.monotonic();
  const page = new MergedPage(agreed, writer);
  page.reserve(reportFamilies.map(({ name }) => name));
  const asked = askAll(deps);
  try {
    const results = [await ownPart(deps, page, started)];
    await output.flush(signal);
    output.push();
    for (const [index, one] of asked.entries()) {
      const tally = new Tally(one.source.label);
      const failure = await part(deps, page, one, tally, started);
      const seconds = (clock.monotonic() - started) / 1000;
      results[index + 1] = { tally, seconds, failure };
    }
    deps.onReport?.(results);
    page.finish();
    writer.text(`${reportLines(results)}${agreed.form === "openmetrics" ? "# EOF\n" : ""}`);
    const left = Math.max(1_000, started + budget + 1_000 - clock.monotonic());
    const ended = await within(clock, left, output.end(signal));
    if (ended.timedOut) throw new Error("the scraper did not take the page in time");
  } finally {
    for (const { stop } of asked) stop.abort(over);
  }
}

function askAll({ sources, agreed, budget, clock }: ScrapeDeps): readonly Asked[] {
  const limits = deadlines(sources.length, budget);
  return sources.map((source, index) => {
    const stop = new AbortController();
    const deadline = limits[index] ?? budget;
    const head = openSource(source, { agreed, seconds: deadline / 1000, signal: stop.signal, clock });
    // Its error is looked at when the source's turn comes.
    head.catch(() => undefined);
    return { source, deadline, stop, head };
  });
}

/** Our own families go out at once and are not held: nobody else has their names. */
async function ownPart(
  { own, clock, onOwnFailure }: ScrapeDeps,
  page: MergedPage,
  started: Millis,
): Promise<SourceResult> {
  const tally = new Tally("agent");
  let failure: FailureCause | undefined;
  try {
    const bytes = Buffer.from(await own());
    tally.bytes = bytes.length;
    const merge = new SourceMerge(page, tally, "text", false);
    merge.push(bytes, 0, bytes.length);
    merge.end();
  } catch (error) {
    failure = "error";
    onOwnFailure(error);
  }
  return { tally, seconds: (clock.monotonic() - started) / 1000, failure };
}

/** One source's part of the page; the cause when it is not whole. */
async function part(
  { clock, output, signal, onResult }: ScrapeDeps,
  page: MergedPage,
  { source, deadline, stop, head }: Asked,
  tally: Tally,
  started: Millis,
): Promise<FailureCause | undefined> {
  const late = (): void =>
    stop.abort(new CutOff("deadline", `it was not done ${Math.round(deadline)} ms after the start of the scrape`));
  const disarm = clock.after(Math.max(0, started + deadline - clock.monotonic()), late);
  const gone = (): void => stop.abort(over);
  signal.addEventListener("abort", gone);
  try {
    await readSource(source, await head, page, tally, () => output.flush(signal));
    onResult(source, undefined, "");
    return undefined;
  } catch (error) {
    signal.throwIfAborted();
    const { cause, text } = failureOf(stop.signal.aborted ? stop.signal.reason : error);
    onResult(source, cause, text);
    return cause;
  } finally {
    disarm();
    signal.removeEventListener("abort", gone);
    stop.abort(over);
  }
}
