import { type ClientHttp2Session, type ClientHttp2Stream, connect, type IncomingHttpHeaders } from "node:http2";
import type { ControlPlaneConfig } from "../config/control-plane-config.ts";
import type { Clock, Millis } from "../foundation/time.ts";
import { type UpstreamCredentials, upstreamCredentials } from "../identity/upstream-credentials.ts";
import { connectStream } from "../system/tls.ts";

/** One stream to the control plane, on a connection of its own. */
export interface UpstreamStream {
  readonly stream: ClientHttp2Stream;
  /** What it was opened with: to know when it has to be renewed. */
  readonly credentials: UpstreamCredentials;
  /** Ends stream and connection; nothing of them is left. */
  close(): void;
}

const CONNECT_TIMEOUT: Millis = 10_000;
const WINDOW = 2 * 1024 * 1024;
/** Headers that belong to the hop, or that we write ourselves. */
const ownHeaders = new Set([
  "connection",
  "keep-alive",
  "transfer-encoding",
  "upgrade",
  "host",
  "te",
  "content-type",
  "authorization",
  "clusterid",
  "grpc-accept-encoding",
  "grpc-encoding",
  "grpc-timeout",
  "x-forwarded-proto",
  "x-request-id",
  "x-envoy-internal",
  "x-forwarded-for",
]);

/**
 * Connects and opens `path`. Token, roots and client certificate are read from their files now. Rejects with Node's
 * error, or with Refused when no root is there.
 */
export async function openUpstream(
  config: ControlPlaneConfig,
  path: string,
  fromEnvoy: IncomingHttpHeaders,
  clock: Clock,
): Promise<UpstreamStream> {
  const { xds, keepalive } = config;
  const credentials = upstreamCredentials(config, xds, clock.wall());
  const socket = await connectStream({
    host: xds.host,
    port: xds.port,
    timeout: CONNECT_TIMEOUT,
    tls: credentials.tls,
  });
  const authority = `${credentials.tls === undefined ? "http" : "https"}://${xds.serverName.includes(":") ? `[${xds.serverName}]` : xds.serverName}:${xds.port}`;
  const session = connect(authority, {
    createConnection: () => socket,
    settings: { enablePush: false, initialWindowSize: WINDOW },
    maxSessionMemory: 1_000,
  });
  session.on("error", () => undefined);
  session.once("connect", () => session.setLocalWindowSize(WINDOW));
  const passed = Object.entries(fromEnvoy).filter(([name]) => !name.startsWith(":") && !ownHeaders.has(name));
  const stream = session.request(
    {
      ...Object.fromEntries(passed),
      ":method": "POST",
      ":path": path,
      "content-type": "application/grpc",
      te: "trailers",
      "grpc-accept-encoding": "identity",
      ...Object.fromEntries(credentials.metadata),
    },
    { endStream: false },
  );
  const stopPing = keepAlive(session, keepalive, clock);
  session.once("close", stopPing);
  return {
    stream,
    credentials,
    close() {
      stopPing();
      stream.destroy();
      session.destroy();
    },
  };
}

/** Whether the control plane can be reached and trusted now: undefined, or why not. Leaves no connection. */
export async function probeUpstream(config: ControlPlaneConfig, clock: Clock): Promise<unknown> {
  try {
    const { tls } = upstreamCredentials(config, config.xds, clock.wall());
    const socket = await connectStream({ host: config.xds.host, port: config.xds.port, timeout: CONNECT_TIMEOUT, tls });
    socket.destroy();
    return undefined;
  } catch (error) {
    return error;
  }
}

/** A connection over which nothing comes back any more is ended: TCP alone would notice after many minutes. */
function keepAlive(
  session: ClientHttp2Session,
  { interval, timeout }: ControlPlaneConfig["keepalive"],
  clock: Clock,
): () => void {
  let cancel: () => void;
  const next = (): void => {
    cancel = clock.after(interval, () => {
      if (session.destroyed) return;
      cancel = clock.after(timeout, () => session.destroy(new Error(`no answer to a ping within ${timeout} ms`)));
      // An answered ping, late or not, starts the next round; a destroyed session calls back with an error.
      session.ping((error) => {
        cancel();
        if (error === null && !session.destroyed) next();
      });
    });
  };
  next();
  return () => cancel();
}
