import { errorCode } from "../foundation/errors.ts";
import { type Clock, type Millis, pause } from "../foundation/time.ts";
import { type BodyRequest, type BodyStream, openBody } from "../system/body-stream.ts";
import type { HttpTarget } from "../system/http-client.ts";
import type { Head } from "../system/response-framing.ts";
import { type Agreed, acceptFor, acceptOfEnvoy } from "./negotiate.ts";
import type { Source } from "./scrape-sources.ts";
import { CutOff } from "./tally.ts";

/** How a source is asked. */
export interface Asking {
  readonly agreed: Agreed;
  /** Whether Envoy's protobuf can be read. */
  readonly protobuf: boolean;
  /** What is left for it; said to the source. */
  readonly seconds: number;
  /** Envoy is asked when this resolves, for which its connection does not wait. */
  readonly begin: Promise<unknown> | undefined;
  /** Closes the connection at any time. */
  readonly signal: AbortSignal;
  readonly clock: Clock;
}

/**
 * In a hot restart Envoy's admin, and the listener before it, change hands: for a tenth of a second or so (0 to 130 ms
 * were seen) nobody answers, or the listener says 503. A scrape that comes just then waits so long, and asks so often.
 */
const HANDOVER: Millis = 400;
const AGAIN: Millis = 25;

/** Connects to the source and reads the head. Throws what ended it; Envoy is asked again for a moment. */
export async function openSource(source: Source, asking: Asking): Promise<BodyStream> {
  const { clock, signal } = asking;
  if (source.type !== "envoy") return openOnce(source, asking);
  const until = clock.monotonic() + HANDOVER;
  for (;;) {
    try {
      const stream = await openOnce(source, asking);
      if (stream.head.status !== 503 || clock.monotonic() >= until) return stream;
      stream.close();
    } catch (error) {
      if (signal.aborted || !isHandover(error) || clock.monotonic() >= until) throw error;
    }
    await pause(clock, AGAIN, signal);
  }
}

function isHandover(error: unknown): boolean {
  const code = errorCode(error) ?? "";
  if (["ECONNREFUSED", "ECONNRESET", "EPIPE", "ENOENT"].includes(code)) return true;
  return error instanceof Error && error.message === "the answer was cut off";
}

/** The first of its addresses at which somebody listens. */
async function openOnce(source: Source, { agreed, protobuf, seconds, begin, signal }: Asking): Promise<BodyStream> {
  // Who asks for summaries or native histograms gets what Envoy's text page makes of that.
  const asksProtobuf = protobuf && source.type === "envoy" && !source.path.includes("histogram_buckets");
  const headers = {
    accept: asksProtobuf ? acceptOfEnvoy(agreed) : acceptFor(agreed),
    // Copying over loopback is cheaper than compressing there and decompressing here.
    "accept-encoding": "identity",
    "x-prometheus-scrape-timeout-seconds": seconds.toFixed(3),
  };
  for (const [index, to] of source.targets.entries()) {
    try {
      return await openFollowing({
        to,
        path: source.path,
        headers,
        begin: source.type === "envoy" ? begin : undefined,
        signal,
      });
    } catch (error) {
      const another = errorCode(error) === "ECONNREFUSED" || errorCode(error) === "EADDRNOTAVAIL";
      if (!another || index === source.targets.length - 1) throw error;
    }
  }
  throw new CutOff("refused", "there is no address to ask");
}

/** What Go's and Prometheus' clients follow as well; an endless row of them ends sooner here. */
const MOST_REDIRECTS = 3;
const redirects: readonly number[] = [301, 302, 303, 307, 308];

/** Frameworks send `/metrics` on to `/metrics/`. Only within the same server: whose ports may be asked was decided before. */
async function openFollowing(request: BodyRequest): Promise<BodyStream> {
  let path = request.path;
  for (let hop = 0; ; hop++) {
    const stream = await openBody({ ...request, path });
    const next = redirects.includes(stream.head.status) ? sameServer(request.to, path, stream.head) : undefined;
    if (next === undefined || hop === MOST_REDIRECTS) return stream;
    stream.close();
    path = next;
  }
}

/** The path that the answer points to, undefined when it is not on the same server. */
function sameServer(to: HttpTarget, path: string, { headers }: Head): string | undefined {
  if ("socketPath" in to) return undefined;
  const here = `http://${to.host.includes(":") ? `[${to.host}]` : to.host}:${to.port}`;
  const location = headers.get("location") ?? "";
  if (!URL.canParse(location, here + path)) return undefined;
  const there = new URL(location, here + path);
  const names = [new URL(here).hostname, "localhost"];
  const port = there.port === "" ? 80 : Number(there.port);
  if (there.protocol !== "http:" || port !== to.port || !names.includes(there.hostname)) return undefined;
  return there.pathname + there.search;
}
