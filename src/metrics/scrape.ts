import type { Clock, Millis } from "../foundation/time.ts";
import type { BodyStream } from "../system/body-stream.ts";
import { LineCutter } from "./line-cutter.ts";
import { giveRoomBack, type LineRoom, takeRoom } from "./line-runs/line-room.ts";
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
  /** Resolves when the requests that were begun are on their way. */
  readonly turn: () => Promise<void>;
  readonly agreed: Agreed;
  readonly sources: readonly Source[];
  /** Resolves when Envoy may be asked; undefined: at once. */
  readonly begin?: Promise<unknown> | undefined;
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

/** Behind the page's time, for a scraper that is slow to take what is there. */
const GRACE: Millis = 1_000;

interface Asked {
  readonly source: Source;
  readonly deadline: Millis;
  /** When its answer must have begun: earlier than its deadline if others wait behind it. */
  readonly answerBy: Millis;
  readonly stop: AbortController;
  readonly head: Promise<BodyStream>;
}

/** What all parts of one scrape share. */
interface Scrape {
  readonly deps: ScrapeDeps;
  readonly page: MergedPage;
  readonly room: LineRoom;
  readonly started: Millis;
}

/**
 * One scrape: all sources are asked at once, then read in order, each within its deadline; what comes goes out as it
 * comes. A source that fails or is cut off leaves the page valid; it ends with a report on all of them. Throws only
 * when the scraper itself is gone, or does not take the page.
 */
export async function scrape(deps: ScrapeDeps): Promise<void> {
  const { clock, agreed, writer, output, signal, budget } = deps;
  const started = clock.monotonic();
  const room = takeRoom();
  const page = new MergedPage(agreed, writer, room);
  page.reserve(reportFamilies.map(({ name }) => name));
  const one: Scrape = { deps, page, room, started };
  const disarm = clock.after(budget + GRACE, () => output.destroy());
  const asked = askAll(deps, room.runs !== undefined);
  const end = (): void => {
    for (const { stop } of asked) stop.abort(over);
  };
  signal.addEventListener("abort", end);
  try {
    // The sources are at work while we print our own metrics.
    await deps.turn();
    const results = [await ownPart(one)];
    await output.flush(signal);
    output.push();
    for (const each of asked) results.push(await part(one, each));
    deps.onReport?.(results);
    page.finish();
    writer.text(`${reportLines(results)}${agreed.form === "openmetrics" ? "# EOF\n" : ""}`);
    await output.end(signal);
  } finally {
    disarm();
    signal.removeEventListener("abort", end);
    end();
    giveRoomBack(room);
  }
}

function askAll({ sources, agreed, budget, clock, begin }: ScrapeDeps, protobuf: boolean): readonly Asked[] {
  const limits = deadlines(sources.length, budget);
  return sources.map((source, index) => {
    const stop = new AbortController();
    const { deadline, answerBy } = limits[index] ?? { deadline: budget, answerBy: budget };
    const head = openSource(source, { agreed, protobuf, seconds: deadline / 1000, begin, signal: stop.signal, clock });
    // Read while it waits for its turn. Its error is looked at then.
    head.then(
      (stream) => (index === 0 ? undefined : stream.ahead()),
      () => undefined,
    );
    return { source, deadline, answerBy, stop, head };
  });
}

/** Our own families go out at once and are not held: nobody else has their names. */
async function ownPart({ deps, page, room, started }: Scrape): Promise<SourceResult> {
  const { own, clock, onOwnFailure } = deps;
  const tally = new Tally("agent");
  let failure: FailureCause | undefined;
  try {
    const bytes = Buffer.from(await own());
    tally.bytes = bytes.length;
    const merge = new SourceMerge(page, tally, "text", false, room);
    const cutter = new LineCutter(room, (lines, start, end) => merge.push(lines, start, end));
    cutter.push(bytes);
    merge.end();
  } catch (error) {
    failure = "error";
    onOwnFailure(error);
  }
  return { tally, seconds: (clock.monotonic() - started) / 1000, failure };
}

/** One source's part of the page, all of it sent. */
async function part(one: Scrape, asked: Asked): Promise<SourceResult> {
  const { clock, output, signal } = one.deps;
  const tally = new Tally(asked.source.label);
  const failure = await readPart(one, asked, tally);
  // Also of a source that was cut off: the next one's lines come to the same place.
  await output.flush(signal);
  return { tally, seconds: (clock.monotonic() - one.started) / 1000, failure };
}

/** The cause when the part is not whole. */
async function readPart(
  { deps, page, room, started }: Scrape,
  asked: Asked,
  tally: Tally,
): Promise<FailureCause | undefined> {
  const { clock, turn, output, signal, onResult } = deps;
  const { source, stop } = asked;
  const stopAt = (time: Millis, text: string): (() => void) =>
    clock.after(Math.max(0, started + time - clock.monotonic()), () =>
      stop.abort(new CutOff("deadline", `${text} ${Math.round(time)} ms after the start of the scrape`)),
    );
  const disarm = stopAt(asked.deadline, "it was not done");
  const disarmAnswer = stopAt(asked.answerBy, "it had not begun to answer");
  try {
    const stream = await asked.head;
    disarmAnswer();
    await readSource(source, stream, page, tally, { room, flush: () => output.flush(signal), clock, turn });
    onResult(source, undefined, "");
    return undefined;
  } catch (error) {
    signal.throwIfAborted();
    const { cause, text } = failureOf(stop.signal.aborted ? stop.signal.reason : error);
    onResult(source, cause, text);
    return cause;
  } finally {
    disarm();
    disarmAnswer();
    stop.abort(over);
  }
}
