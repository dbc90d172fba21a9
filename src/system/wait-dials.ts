import { type LookupAddress, lookup } from "node:dns";
import { type IncomingMessage, type RequestOptions, request } from "node:http";
import { request as requestTls } from "node:https";
import { connect, type LookupFunction } from "node:net";
import { errorCode } from "../foundation/errors.ts";

/** What `pilotfish wait` asks of the network: short questions to names that may not exist yet. */

type Found = { readonly error: NodeJS.ErrnoException | null; readonly addresses: readonly LookupAddress[] };
const underWay = new Map<string, Promise<Found>>();

/**
 * All addresses of a name. The system's resolver can't be cancelled and has four threads: questions for a name that is
 * being looked up already join that look-up, so that slow name servers never make a queue. `localhost` is both families
 * without a resolver: a small image may have no hosts file.
 */
function addressesOf(name: string): Promise<Found> {
  if (name === "localhost") {
    const addresses = [
      { address: "127.0.0.1", family: 4 },
      { address: "::1", family: 6 },
    ];
    return Promise.resolve({ error: null, addresses });
  }
  const there = underWay.get(name);
  if (there !== undefined) return there;
  const found = new Promise<Found>((resolve) => {
    lookup(name, { all: true }, (error, addresses) => {
      underWay.delete(name);
      resolve({ error, addresses: addresses ?? [] });
    });
  });
  underWay.set(name, found);
  return found;
}

/** In the shape that Node's sockets want it. */
const sharedLookup: LookupFunction = (name, options, done) => {
  void addressesOf(name).then(({ error, addresses }) => {
    const [first] = addresses;
    if (error !== null || first === undefined) return done(error, "", 0);
    if (options.all === true) return done(null, [...addresses]);
    return done(null, first.address, first.family);
  });
};

/** The addresses of a host name; rejects with Node's error, or "no answer within N ms". */
export async function resolveName(name: string, timeout: number): Promise<readonly string[]> {
  const { error, addresses } = await limited<Found>(timeout, (done) => {
    void addressesOf(name).then((found) => done(null, found));
    return () => undefined;
  });
  if (error !== null) throw error;
  return addresses.map((one) => one.address);
}

type Done<T> = (error: Error | null, value?: T) => void;

/** A question with a deadline; `ask` gives what ends it, called once when it is over, whichever way. */
function limited<T>(timeout: number, ask: (done: Done<T>) => () => void): Promise<T> {
  return new Promise((resolve, reject) => {
    let cleanUp: () => void = () => undefined;
    const done: Done<T> = (error, value) => {
      clearTimeout(timer);
      cleanUp();
      if (error !== null || value === undefined) reject(error ?? new Error("no answer"));
      else resolve(value);
    };
    const timer = setTimeout(() => done(new Error(`no answer within ${Math.round(timeout)} ms`)), timeout);
    cleanUp = ask(done);
  });
}

/**
 * Connects to a host (a name or an address; every address of a name is tried) and stays for `steady` ms. A proxy in
 * between, such as the pod's own Envoy, takes every connection and closes it at once when it does not reach the server:
 * "closed" says that this happened; "open" that the connection lasted, or that the server spoke.
 */
export function holdTcp(host: string, port: number, timeout: number, steady: number): Promise<"open" | "closed"> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port, lookup: sharedLookup });
    const end = (settle: () => void) => {
      clearTimeout(timer);
      socket.destroy();
      settle();
    };
    const late = new Error(`no connection within ${Math.round(timeout)} ms`);
    let timer = setTimeout(() => end(() => reject(late)), timeout);
    let connected = false;
    // A reset may be there before we have looked at the connection.
    const taken = (error: Error) => connected || errorCode(error) === "ECONNRESET";
    socket.once("connect", () => {
      connected = true;
      clearTimeout(timer);
      timer = setTimeout(() => end(() => resolve("open")), steady);
    });
    socket.once("data", () => end(() => resolve("open")));
    socket.once("end", () => end(() => resolve("closed")));
    socket.on("error", (error) => end(() => (taken(error) ? resolve("closed") : reject(error))));
  });
}

export interface WebAnswer {
  readonly status: number;
  /** The beginning of the body, as text; empty for 2xx. */
  readonly said: string;
}

/**
 * One GET on a connection of its own. Rejects with Node's error, or "no answer within N ms". Of the body of an answer
 * that is not 2xx, the first `limit` bytes are read.
 */
export function getStatus(
  url: URL,
  options: { readonly timeout: number; readonly insecure: boolean; readonly limit: number },
): Promise<WebAnswer> {
  return limited(options.timeout, (done) => {
    const common: RequestOptions = { agent: false, lookup: sharedLookup };
    const outgoing =
      url.protocol === "https:"
        ? requestTls(url, { ...common, rejectUnauthorized: !options.insecure })
        : request(url, common);
    outgoing.on("error", done);
    outgoing.once("response", (incoming) => {
      const status = incoming.statusCode ?? 0;
      if (status >= 200 && status < 300) return done(null, { status, said: "" });
      beginning(incoming, options.limit, (said) => done(null, { status, said }));
    });
    outgoing.end();
    return () => outgoing.destroy();
  });
}

function beginning(incoming: IncomingMessage, limit: number, done: (text: string) => void): void {
  let bytes = Buffer.alloc(0);
  const finish = () => done(bytes.subarray(0, limit).toString("utf8"));
  incoming.on("data", (part: Buffer) => {
    bytes = Buffer.concat([bytes, part]);
    if (bytes.length >= limit) finish();
  });
  incoming.once("error", finish);
  incoming.once("end", finish);
}
