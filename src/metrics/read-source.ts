import { pipeline, Readable } from "node:stream";
import { createBrotliDecompress, createGunzip, createInflate, createZstdDecompress } from "node:zlib";
import { describeError, errorCode } from "../foundation/errors.ts";
import { type BodyStream, openBody } from "../system/body-stream.ts";
import { LineCutter } from "./line-cutter.ts";
import { type Agreed, acceptFor, formOf } from "./negotiate.ts";
import type { MergedPage } from "./page.ts";
import type { Source } from "./scrape-sources.ts";
import { SourceMerge } from "./source-merge.ts";
import { CutOff, type Tally } from "./tally.ts";

/** Connects to the first target that answers, and reads the head. */
export async function openSource(
  source: Source,
  agreed: Agreed,
  seconds: number,
  signal: AbortSignal,
): Promise<BodyStream> {
  const headers = {
    accept: acceptFor(agreed),
    // Copying over loopback is cheaper than compressing there and decompressing here.
    "accept-encoding": "identity",
    "x-prometheus-scrape-timeout-seconds": seconds.toFixed(3),
  };
  for (const [index, to] of source.targets.entries()) {
    try {
      return await openBody({ to, path: source.path, headers, signal });
    } catch (error) {
      const another = errorCode(error) === "ECONNREFUSED" || errorCode(error) === "EADDRNOTAVAIL";
      if (!another || index === source.targets.length - 1) throw error;
    }
  }
  throw new CutOff("refused", "there is no address to ask");
}

/** Reads a source's body into the page; `flush` sends on what came of each piece. Throws what ended it early. */
export async function readSource(
  source: Source,
  stream: BodyStream,
  page: MergedPage,
  tally: Tally,
  flush: () => Promise<void>,
): Promise<void> {
  if (stream.status !== 200) throw new CutOff("status", `it answered ${stream.status}`);
  const form = formOf(stream.headers["content-type"]);
  if (form === undefined) throw new CutOff("content_type", `it answered with ${stream.headers["content-type"]}`);
  const merge = new SourceMerge(page, tally, form, true);
  const cutter = new LineCutter((bytes, start, end) => merge.push(bytes, start, end));
  try {
    for await (const piece of decoded(stream)) {
      tally.bytes += piece.length;
      if (tally.bytes > source.limit) throw new CutOff("too_large", `its page has more than ${source.limit} bytes`);
      cutter.push(piece);
      await flush();
    }
    cutter.end();
  } finally {
    merge.end();
  }
  if (form === "openmetrics" && !merge.sawEnd) throw new CutOff("truncated", "its page ends without # EOF");
}

function decoded(stream: BodyStream): AsyncIterable<Buffer> {
  const coding = (stream.headers["content-encoding"] ?? "identity").trim().toLowerCase();
  if (coding === "identity" || coding === "") return stream.body();
  const decoders: Readonly<Record<string, (() => ReturnType<typeof createGunzip>) | undefined>> = {
    gzip: createGunzip,
    "x-gzip": createGunzip,
    deflate: createInflate,
    br: createBrotliDecompress,
    zstd: createZstdDecompress,
  };
  const create = decoders[coding];
  if (create === undefined) throw new CutOff("content_type", `its content encoding "${coding}" is unknown`);
  // An error of either side ends the decoder, whose reader gets it.
  return pipeline(Readable.from(stream.body()), create(), () => undefined) as AsyncIterable<Buffer>;
}

/** What went wrong, as the label of a metric and as a sentence. */
export function failureOf(error: unknown): { readonly cause: CutOff["cause"]; readonly text: string } {
  if (error instanceof CutOff) return { cause: error.cause, text: error.message };
  const code = errorCode(error);
  const text = describeError(error);
  if (code === "ECONNREFUSED" || code === "EADDRNOTAVAIL" || code === "ENOENT") return { cause: "refused", text };
  const cut = ["ECONNRESET", "EPIPE", "Z_BUF_ERROR", "Z_DATA_ERROR"].includes(code ?? "") || text.includes("cut off");
  return { cause: cut ? "truncated" : "error", text };
}
