import { readFileSync } from "node:fs";
import { connect as connectPlain, createServer as createPlainServer, isIP, type Server, type Socket } from "node:net";
import {
  checkServerIdentity,
  connect,
  createSecureContext,
  createServer,
  type PeerCertificate,
  rootCertificates,
  type TLSSocket,
} from "node:tls";
import { describeError, Unavailable } from "../foundation/errors.ts";

/** Where the operating systems keep the roots that they trust; the first that is there. */
const rootBundles = [
  "/etc/ssl/certs/ca-certificates.crt",
  "/etc/pki/tls/certs/ca-bundle.crt",
  "/etc/ssl/ca-bundle.pem",
  "/etc/pki/tls/cacert.pem",
  "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
  "/etc/ssl/cert.pem",
];

/** The operating system's roots as PEM; those that Node ships when the image has none. */
export function systemRoots(): string {
  for (const path of rootBundles) {
    try {
      const text = readFileSync(path, "utf8");
      if (text.includes("BEGIN CERTIFICATE")) return text;
    } catch {
      // The next one.
    }
  }
  return rootCertificates.join("\n");
}

export interface ConnectOptions {
  readonly host: string;
  readonly port: number;
  /** In ms, for address lookup, connection and handshake together. */
  readonly timeout: number;
  /** Undefined: no TLS. */
  readonly tls: TlsClient | undefined;
}

export interface TlsClient {
  /** The name that the server's certificate must carry. */
  readonly serverName: string;
  /** PEM; what it may be signed by. */
  readonly roots: string;
  readonly certificate?: string | Buffer;
  readonly key?: string | Buffer;
}

/**
 * A connection that is through its handshake, ALPN h2. Rejects with Node's error (codes such as ECONNREFUSED,
 * SELF_SIGNED_CERT_IN_CHAIN, CERT_HAS_EXPIRED, ERR_TLS_CERT_ALTNAME_INVALID), or "no connection within N ms".
 */
export function connectStream(options: ConnectOptions): Promise<Socket | TLSSocket> {
  return new Promise((resolve, reject) => {
    let socket: Socket | TLSSocket;
    try {
      socket = options.tls ? openTls(options, options.tls) : connectPlain({ host: options.host, port: options.port });
    } catch (error) {
      reject(error instanceof Error ? error : new Error(String(error)));
      return;
    }
    const timer = setTimeout(
      () => socket.destroy(new Error(`no connection within ${options.timeout} ms`)),
      options.timeout,
    );
    const fail = (error: Error): void => {
      clearTimeout(timer);
      reject(error);
    };
    const closed = (): void => fail(new Error("the connection was closed during the handshake"));
    socket.once("error", fail);
    socket.once("close", closed);
    socket.once(options.tls ? "secureConnect" : "connect", () => {
      clearTimeout(timer);
      socket.off("error", fail);
      socket.off("close", closed);
      socket.on("error", () => undefined);
      socket.setNoDelay(true);
      resolve(socket);
    });
  });
}

function openTls(options: ConnectOptions, tls: TlsClient): TLSSocket {
  return connect({
    host: options.host,
    port: options.port,
    ...(isIP(tls.serverName) === 0 ? { servername: tls.serverName } : {}),
    checkServerIdentity: (_host: string, certificate: PeerCertificate) =>
      checkServerIdentity(tls.serverName, certificate),
    ALPNProtocols: ["h2"],
    minVersion: "TLSv1.2",
    ca: tls.roots,
    ...(tls.certificate === undefined ? {} : { cert: tls.certificate }),
    ...(tls.key === undefined ? {} : { key: tls.key }),
  });
}

/** Whether a certificate carries this name; the error says which it has. */
/** 4, 6, or 0 for what is no address. */
export { checkServerIdentity, isIP };

export interface ServedTls {
  readonly certificate: string | Buffer;
  readonly key: string | Buffer;
  /** Roots for client certificates, PEM; a client without one is let in and has none. */
  readonly clientRoots?: string;
}

export interface TcpListener {
  readonly port: number;
  /** New certificate for connections from now on. */
  renew(tls: ServedTls): void;
  close(): Promise<void>;
}

/** Listens on TCP, with TLS when `tls` is given; `onSocket` gets sockets that are through their handshake. */
export function listenTcp(
  options: { readonly host: string; readonly port: number; readonly tls?: ServedTls },
  onSocket: (socket: Socket | TLSSocket) => void,
): Promise<TcpListener> {
  const contextOf = (tls: ServedTls) => ({
    cert: tls.certificate,
    key: tls.key,
    ...(tls.clientRoots === undefined ? {} : { ca: tls.clientRoots }),
  });
  const secure = options.tls
    ? createServer(
        {
          ...contextOf(options.tls),
          ALPNProtocols: ["h2"],
          minVersion: "TLSv1.2",
          requestCert: options.tls.clientRoots !== undefined,
          rejectUnauthorized: false,
        },
        onSocket,
      )
    : undefined;
  const server: Server = secure ?? createPlainServer(onSocket);
  secure?.on("tlsClientError", () => undefined);
  return new Promise((resolve, reject) => {
    const place = `${options.host}:${options.port}`;
    server.once("error", (error) => reject(new Unavailable(`cannot listen on ${place}: ${describeError(error)}`)));
    server.listen({ host: options.host, port: options.port }, () => {
      server.on("error", () => undefined);
      const address = server.address();
      resolve({
        port: typeof address === "object" && address !== null ? address.port : options.port,
        renew: (tls) => secure?.setSecureContext(contextOf(tls)),
        close: () => new Promise((done) => server.close(() => done())),
      });
    });
  });
}

/** The client certificate that a TLS peer showed and that our roots accept, as DER; undefined otherwise. */
export function clientCertificate(socket: Socket | TLSSocket): Buffer | undefined {
  if (!("authorized" in socket) || !socket.authorized) return undefined;
  const raw = socket.getPeerCertificate().raw as Buffer | undefined;
  return raw === undefined || raw.length === 0 ? undefined : raw;
}

/** Throws when key and certificate do not belong together or are unreadable. */
export function checkPair(certificate: string | Buffer, key: string | Buffer): void {
  createSecureContext({ cert: certificate, key });
}
