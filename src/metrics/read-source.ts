import type { Transform } from "node:stream";
import { createBrotliDecompress, createGunzip, createInflate, createZstdDecompress } from "node:zlib";
import { describeError, errorCode } from "../foundation/errors.ts";
import type { Clock, Millis } from "../foundation/time.ts";
import type { BodyStream, Take, Window } from "../system/body-stream.ts";
import { NotHttp } from "../system/response-framing.ts";
import { LARGEST_PIECE, LineCutter } from "./line-cutter.ts";
import type { LineRoom } from "./line-runs/line-room.ts";
import { formOf, isDelimitedProtobuf } from "./negotiate.ts";
import type { MergedPage } from "./page.ts";
import { ProtobufLines } from "./protobuf-lines.ts";
import type { Source } from "./scrape-sources.ts";
import { SourceMerge } from "./source-merge.ts";
import { CutOff, type Tally } from "./tally.ts";

/** A piece that took longer is followed by a turn of the event loop and smaller ones: others must not wait for it. */
const LONGEST_AT_ONCE: Millis = 5;
const SMALL_PIECE = 64 * 1024;

/** Where the lines are on their way. */
export interface Way {
  /** Nobody else uses it until all of the source's lines are sent. */
  readonly room: LineRoom;
  /** Sends on what came of each piece. */
  readonly flush: () => Promise<void> | undefined;
  readonly clock: Pick<Clock, "monotonic">;
  /** Lets everybody else go on, once. */
  readonly turn: () => Promise<void>;
}

/** Reads a source's body into the page. Throws what ended it early; what came before that is on the page, but not sent. */
export async function readSource(
  source: Source,
  stream: BodyStream,
  page: MergedPage,
  tally: Tally,
  { room, flush, clock, turn }: Way,
): Promise<void> {
  const { status, headers } = stream.head;
  if (status !== 200) throw new CutOff("status", `it answered ${status}`);
  const type = headers.get("content-type");
  const form = isProtobuf(source, type) ? "text" : formOf(type);
  if (form === undefined) throw new CutOff("content_type", `it answered with ${type}`);
  const merge = new SourceMerge(page, tally, form, true, room);
  const intake = intakeOf(isProtobuf(source, type), room, merge, flush);
  // While lines are not sent, and for ever when the source is cut off, nothing may be put over them.
  let held = false;
  let most = LARGEST_PIECE;
  const take: Take = (piece) => {
    held = true;
    tally.bytes += piece.length;
    if (tally.bytes > source.limit) throw new CutOff("too_large", `its page has more than ${source.limit} bytes`);
    const began = clock.monotonic();
    const sent = intake.push(piece);
    const slow = clock.monotonic() - began > LONGEST_AT_ONCE;
    most = slow ? SMALL_PIECE : LARGEST_PIECE;
    const wait = slow ? (sent ?? Promise.resolve()).then(turn) : sent;
    if (wait === undefined) held = false;
    return wait?.then(() => {
      held = false;
    });
  };
  try {
    await readDecoded(stream, take, () => (held ? undefined : intake.window().subarray(0, most)));
    intake.end();
  } finally {
    merge.end();
  }
  if (form === "openmetrics" && !merge.sawEnd) throw new CutOff("truncated", "its page ends without # EOF");
}

/** Takes a body's pieces; `push` is over when all lines that came of it are sent. */
interface Intake {
  readonly push: (piece: Buffer) => Promise<void> | undefined;
  readonly window: () => Buffer;
  readonly end: () => void;
}

function intakeOf(protobuf: boolean, room: LineRoom, merge: SourceMerge, flush: Way["flush"]): Intake {
  const cutter = new LineCutter(room, (bytes, start, end) => merge.push(bytes, start, end));
  const window = (): Buffer => cutter.window();
  const push = (piece: Buffer): Promise<void> | undefined => pushInParts(cutter, piece, flush);
  if (!protobuf || room.runs === undefined) return { push, window, end: () => cutter.end() };
  const lines = new ProtobufLines(room, room.runs, { window, push });
  return { push: (piece) => lines.push(piece), window: () => lines.window(), end: () => lines.end() };
}

const isProtobuf = ({ type }: Source, contentType: string | undefined): boolean =>
  type === "envoy" && isDelimitedProtobuf(contentType);

/** Nearly always there is one part, and it is sent at once. */
function pushInParts(cutter: LineCutter, piece: Buffer, flush: Way["flush"]): Promise<void> | undefined {
  for (let at = 0; at < piece.length; at += LARGEST_PIECE) {
    cutter.push(piece.subarray(at, at + LARGEST_PIECE));
    const rest = piece.subarray(at + LARGEST_PIECE);
    const wait = flush();
    if (wait !== undefined) return rest.length === 0 ? wait : wait.then(() => pushInParts(cutter, rest, flush));
  }
  return undefined;
}

type Decoder = Transform & { readonly bytesWritten: number };

/** The body without its content encoding. */
async function readDecoded(stream: BodyStream, take: Take, window: Window): Promise<void> {
  const coding = (stream.head.headers.get("content-encoding") ?? "identity").toLowerCase();
  if (coding === "identity" || coding === "") return stream.read(take, window);
  const create = decoders[coding];
  if (create === undefined) throw new CutOff("content_type", `its content encoding "${coding}" is unknown`);
  const decoder = create();
  let fed = 0;
  const feed = stream
    .read((piece) => {
      fed += piece.length;
      return written(decoder, piece);
    })
    .then(
      () => void decoder.end(),
      (error: unknown) => void decoder.destroy(error instanceof Error ? error : new Error(String(error))),
    );
  try {
    for await (const piece of decoder as AsyncIterable<Buffer>) await take(piece);
    if (coding === "zstd" && decoder.bytesWritten < fed)
      throw new CutOff("truncated", "its page has more than one frame of zstd, of which only the first can be read");
  } finally {
    decoder.destroy();
    // Or we would wait for bytes that nobody wants any more.
    stream.close();
    await feed;
  }
}

const decoders: Readonly<Record<string, (() => Decoder) | undefined>> = {
  gzip: createGunzip,
  "x-gzip": createGunzip,
  deflate: createInflate,
  br: createBrotliDecompress,
  zstd: createZstdDecompress,
};

/** The decoder has taken the piece (which its giver uses again), or is gone; its error reaches its reader. */
function written(decoder: Transform, piece: Buffer): Promise<void> {
  return new Promise((resolve, reject) => {
    const gone = (): void => reject(new Error("the decoder is gone"));
    if (decoder.destroyed) return gone();
    decoder.once("close", gone);
    decoder.write(piece, (error) => {
      decoder.off("close", gone);
      if (error) reject(error);
      else resolve();
    });
  });
}

/** What went wrong, as the label of a metric and as a sentence. */
export function failureOf(error: unknown): { readonly cause: CutOff["cause"]; readonly text: string } {
  if (error instanceof CutOff) return { cause: error.cause, text: error.message };
  const code = errorCode(error);
  const text = describeError(error);
  if (code === "ECONNREFUSED" || code === "EADDRNOTAVAIL" || code === "ENOENT") return { cause: "refused", text };
  if (error instanceof NotHttp) return { cause: "error", text };
  const cut = ["ECONNRESET", "EPIPE", "Z_BUF_ERROR", "Z_DATA_ERROR"].includes(code ?? "") || text.includes("cut off");
  return { cause: cut ? "truncated" : "error", text };
}
