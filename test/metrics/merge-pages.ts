import type { Escaping, Form } from "../../src/metrics/exposition.ts";
import { LineCutter } from "../../src/metrics/line-cutter.ts";
import { giveRoomBack, type LineRoom, takeRoom } from "../../src/metrics/line-runs/line-room.ts";
import { MergedPage, type PageLimits, pageLimits } from "../../src/metrics/page.ts";
import { PageWriter } from "../../src/metrics/page-writer.ts";
import { SourceMerge } from "../../src/metrics/source-merge.ts";
import { CutOff, type FailureCause, Tally } from "../../src/metrics/tally.ts";

export interface Given {
  readonly label?: string;
  readonly form: Form;
  readonly page: string | Buffer;
  /** False for the agent's page. */
  readonly hold?: boolean;
  /** Sizes of the pieces in which it comes; the last one is repeated. */
  readonly pieces?: readonly number[];
}

/** How the merge is done; the page must not depend on it. */
export interface Manner {
  /** Of every source, instead of its own pieces. */
  readonly pieces?: readonly number[];
  readonly room?: () => LineRoom;
}

export interface Merged {
  readonly page: string;
  readonly bytes: Buffer;
  readonly tallies: readonly Tally[];
  readonly causes: readonly (FailureCause | undefined)[];
}

/** The whole merge without a socket: pages in, page out. */
export function mergePages(
  given: readonly Given[],
  form: Form,
  escaping: Escaping = "underscores",
  limits: PageLimits = pageLimits,
  manner: Manner = {},
): Merged {
  const writer = new PageWriter();
  const room = manner.room?.() ?? takeRoom();
  const page = new MergedPage({ form, escaping }, writer, room, limits);
  const tallies: Tally[] = [];
  const causes: (FailureCause | undefined)[] = [];
  const parts: Buffer[] = [];
  const drain = (): void => {
    for (const block of writer.take()) parts.push(Buffer.from(block));
  };
  for (const [index, one] of given.entries()) {
    const tally = new Tally(one.label ?? `s${index}`);
    tallies.push(tally);
    causes.push(pushAll(page, tally, one, drain, room, manner));
  }
  page.finish();
  if (form === "openmetrics") writer.text("# EOF\n");
  drain();
  if (manner.room === undefined) giveRoomBack(room);
  const bytes = Buffer.concat(parts);
  return { page: bytes.toString(), bytes, tallies, causes };
}

function pushAll(
  page: MergedPage,
  tally: Tally,
  one: Given,
  drain: () => void,
  room: LineRoom,
  manner: Manner,
): FailureCause | undefined {
  const merge = new SourceMerge(page, tally, one.form, one.hold ?? true, room);
  const cutter = new LineCutter(room, (bytes, start, end) => merge.push(bytes, start, end));
  try {
    for (const piece of piecesOf(Buffer.from(one.page), manner.pieces ?? one.pieces ?? [65_536])) {
      cutter.push(piece);
      drain();
    }
    cutter.end();
    return undefined;
  } catch (error) {
    if (error instanceof CutOff) return error.cause;
    throw error;
  } finally {
    merge.end();
    drain();
  }
}

function* piecesOf(bytes: Buffer, sizes: readonly number[]): Generator<Buffer> {
  let at = 0;
  for (let i = 0; at < bytes.length; i++) {
    const size = Math.max(1, sizes[Math.min(i, sizes.length - 1)] ?? 1);
    // A copy each: whoever keeps a piece instead of copying it is found out.
    yield Buffer.from(bytes.subarray(at, at + size));
    at += size;
  }
}
