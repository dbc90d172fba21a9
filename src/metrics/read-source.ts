import type { Transform } from "node:stream";
import { createBrotliDecompress, createGunzip, createInflate, createZstdDecompress } from "node:zlib";
import { describeError, errorCode } from "../foundation/errors.ts";
import type { BodyStream } from "../system/body-stream.ts";
import { NotHttp } from "../system/response-framing.ts";
import { LineCutter } from "./line-cutter.ts";
import { formOf } from "./negotiate.ts";
import type { MergedPage } from "./page.ts";
import type { Source } from "./scrape-sources.ts";
import { SourceMerge } from "./source-merge.ts";
import { CutOff, type Tally } from "./tally.ts";

/** Reads a source's body into the page; `flush` sends on what came of each piece. Throws what ended it early. */
export async function readSource(
  source: Source,
  stream: BodyStream,
  page: MergedPage,
  tally: Tally,
  flush: () => Promise<void>,
): Promise<void> {
  const { status, headers } = stream.head;
  if (status !== 200) throw new CutOff("status", `it answered ${status}`);
  const type = headers.get("content-type");
  const form = formOf(type);
  if (form === undefined) throw new CutOff("content_type", `it answered with ${type}`);
  const merge = new SourceMerge(page, tally, form, true);
  const cutter = new LineCutter((bytes, start, end) => merge.push(bytes, start, end));
  try {
    await readDecoded(stream, async (piece) => {
      tally.bytes += piece.length;
      if (tally.bytes > source.limit) throw new CutOff("too_large", `its page has more than ${source.limit} bytes`);
      cutter.push(piece);
      await flush();
    });
    cutter.end();
  } finally {
    merge.end();
  }
  if (form === "openmetrics" && !merge.sawEnd) throw new CutOff("truncated", "its page ends without # EOF");
}

/** The body without its content encoding. */
async function readDecoded(stream: BodyStream, take: (piece: Buffer) => Promise<void>): Promise<void> {
  const coding = (stream.head.headers.get("content-encoding") ?? "identity").toLowerCase();
  if (coding === "identity" || coding === "") return stream.read(take);
  const create = decoders[coding];
  if (create === undefined) throw new CutOff("content_type", `its content encoding "${coding}" is unknown`);
  const decoder = create();
  const feed = stream
    .read((piece) => written(decoder, piece))
    .then(
      () => void decoder.end(),
      (error: unknown) => void decoder.destroy(error instanceof Error ? error : new Error(String(error))),
    );
  try {
    for await (const piece of decoder as AsyncIterable<Buffer>) await take(piece);
  } finally {
    decoder.destroy();
    await feed;
  }
}

const decoders: Readonly<Record<string, (() => Transform) | undefined>> = {
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
