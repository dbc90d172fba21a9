import { createSocket } from "node:dgram";
import { connect as connectTcp, createServer, type Server, type Socket } from "node:net";
import { errorCode } from "../foundation/errors.ts";
import { nativeCalls } from "./koffi.ts";

/** Sockets for proving where connections really arrive: listeners that collect tokens, and dials that send one. */
export interface TokenListener {
  readonly port: number;
  /** Tokens that arrived so far. */
  readonly tokens: ReadonlySet<string>;
  close(): void;
}

const SOL_IP = 0;
const IP_TRANSPARENT = 19;
const SOL_IPV6 = 41;
const IPV6_TRANSPARENT = 75;

/** Longest token that is read. */
const MOST_BYTES = 200;

/**
 * Listens on a TCP port of all addresses of one family (0: any free port) and keeps what each connection sends first.
 * `transparent`: connections to any address are accepted (TPROXY), which needs CAP_NET_ADMIN. The answer is the
 * error's code when it can't be done.
 */
export function listenForTokens(
  family: "v4" | "v6",
  port: number,
  transparent: boolean,
): Promise<TokenListener | { readonly error: string }> {
  const tokens = new Set<string>();
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => undefined);
    socket.on("data", (bytes) => tokens.add(bytes.subarray(0, MOST_BYTES).toString("utf8")));
  });
  return new Promise((resolve) => {
    server.once("error", (error) => resolve({ error: errorCode(error) ?? "error" }));
    server.listen({ host: family === "v4" ? "0.0.0.0" : "::", port, ipv6Only: true, exclusive: true }, () => {
      if (transparent && !becomeTransparent(server, family)) {
        server.close();
        return resolve({ error: "EPERM" });
      }
      const address = server.address();
      const close = (): void => {
        server.close();
        for (const socket of sockets) socket.destroy();
      };
      resolve({ port: typeof address === "object" && address ? address.port : port, tokens, close });
    });
  });
}

function becomeTransparent(server: Server, family: "v4" | "v6"): boolean {
  const fd = (server as unknown as { _handle?: { fd?: number } })._handle?.fd ?? -1;
  const setsockopt = socketOption();
  if (setsockopt === undefined) return false;
  const on = new Int32Array([1]);
  return (
    (family === "v4"
      ? setsockopt(fd, SOL_IP, IP_TRANSPARENT, on, 4)
      : setsockopt(fd, SOL_IPV6, IPV6_TRANSPARENT, on, 4)) === 0
  );
}

const socketOption = nativeCalls((koffi) =>
  koffi.load(null).func("int setsockopt(int fd, int level, int name, void *value, uint length)"),
);

/** As listenForTokens, for UDP on localhost: each datagram is a token. */
export function receiveTokens(family: "v4" | "v6", port: number): Promise<TokenListener | { readonly error: string }> {
  const tokens = new Set<string>();
  const socket = createSocket(family === "v4" ? { type: "udp4" } : { type: "udp6", ipv6Only: true });
  socket.on("message", (bytes) => tokens.add(bytes.subarray(0, MOST_BYTES).toString("utf8")));
  return new Promise((resolve) => {
    socket.once("error", (error) => resolve({ error: errorCode(error) ?? "error" }));
    socket.bind({ address: family === "v4" ? "127.0.0.1" : "::1", port, exclusive: true }, () => {
      socket.on("error", () => undefined);
      resolve({ port: socket.address().port, tokens, close: () => socket.close() });
    });
  });
}

export interface Dial {
  readonly protocol: "tcp" | "udp";
  readonly host: string;
  readonly port: number;
  /** Source address, when it matters. */
  readonly source: string | undefined;
  readonly token: string;
}

/** What became of a dial so far: `undefined` while nothing happened, `connected`, or the error's code. */
export interface Dialed {
  outcome(): string | undefined;
  close(): void;
}

export interface Identity {
  readonly uid: number;
  readonly gid: number;
}

/**
 * Starts dials whose sockets belong to another user: the kernel asks for the owner at the time when the socket was
 * made, and Node makes it in the next tick. Throws when this process may not become that user.
 */
export async function dialAs(identity: Identity | undefined, dials: readonly Dial[]): Promise<readonly Dialed[]> {
  if (identity === undefined) return startDials(dials);
  const [uid, gid] = [process.geteuid?.() ?? 0, process.getegid?.() ?? 0];
  process.setegid?.(identity.gid);
  try {
    process.seteuid?.(identity.uid);
    try {
      return await startDials(dials);
    } finally {
      process.seteuid?.(uid);
    }
  } finally {
    process.setegid?.(gid);
  }
}

/** Resolves when every socket is made and its first packet is out. */
async function startDials(dials: readonly Dial[]): Promise<readonly Dialed[]> {
  const dialed = dials.map((dial) => (dial.protocol === "tcp" ? dialTcp(dial) : dialUdp(dial)));
  await new Promise((resolve) => setImmediate(resolve));
  await new Promise((resolve) => setImmediate(resolve));
  return dialed;
}

function dialTcp(dial: Dial): Dialed {
  let outcome: string | undefined;
  const socket = connectTcp({
    host: dial.host,
    port: dial.port,
    ...(dial.source === undefined ? {} : { localAddress: dial.source }),
  });
  socket.once("connect", () => {
    outcome = "connected";
    socket.write(dial.token);
  });
  socket.on("error", (error) => {
    outcome ??= errorCode(error) ?? "error";
  });
  return { outcome: () => outcome, close: () => socket.destroy() };
}

function dialUdp(dial: Dial): Dialed {
  let outcome: string | undefined;
  const socket = createSocket(dial.host.includes(":") ? "udp6" : "udp4");
  socket.on("error", (error) => {
    outcome ??= errorCode(error) ?? "error";
  });
  socket.send(dial.token, dial.port, dial.host, (error) => {
    outcome ??= error ? (errorCode(error) ?? "error") : "connected";
  });
  return { outcome: () => outcome, close: () => socket.close() };
}

/** Whether the kernel knows a way to an address. No packet is sent. */
export function hasRoute(host: string): Promise<boolean> {
  const socket = createSocket(host.includes(":") ? "udp6" : "udp4");
  return new Promise((resolve) => {
    const answer = (known: boolean): void => {
      socket.close();
      resolve(known);
    };
    socket.once("error", () => answer(false));
    // The types do not say so, but the callback is given the error when it failed.
    socket.connect(9, host, (error?: unknown) => answer(error === undefined || error === null));
  });
}

/** A program for `node -e`: dials what its argument lists (JSON of Dial[]) and stays until it is ended. */
export const dialProgram =
  'for (const d of JSON.parse(process.argv[1])) { const s = require("net").connect(d.port, d.host, () => s.write(d.token)); ' +
  's.on("error", () => {}); } setTimeout(() => {}, 60000);';

/** Our own Node, to run `dialProgram` in another network namespace. */
export const ownNode = (): string => process.execPath;
