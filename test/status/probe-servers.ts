import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { createSecureServer } from "node:http2";
import { createServer as createHttps } from "node:https";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { join } from "node:path";
import type { SecureVersion } from "node:tls";

/** What an application that writes bytes by hand does with a request: text of the request in, bytes to the socket. */
export type Script = (socket: Socket, request: string, port: number) => void;

export interface Seen {
  readonly request: string;
  readonly from: string;
}

/** Servers of one test file; `done` closes all with their connections. */
export class ProbeServers {
  readonly #servers: Server[] = [];
  readonly #sockets = new Set<Socket>();
  readonly #folder: string;
  /** Requests by their path, as they came. */
  readonly seen = new Map<string, Seen>();
  /** Connections that were taken so far. */
  connections = 0;

  constructor(folder: string) {
    this.#folder = folder;
  }

  async #listen(server: Server, host = "127.0.0.1", port = 0): Promise<number> {
    server.on("connection", (socket: Socket) => {
      this.connections += 1;
      this.#sockets.add(socket);
      socket.on("error", () => undefined);
      socket.once("close", () => this.#sockets.delete(socket));
    });
    server.on("tlsClientError", () => undefined);
    this.#servers.push(server);
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen({ host, port }, resolve);
    });
    return (server.address() as AddressInfo).port;
  }

  /** HTTP by hand: the script for the path answers. */
  raw(scripts: Readonly<Record<string, Script>>, host = "127.0.0.1", port = 0): Promise<number> {
    const server = createServer((socket) => {
      let text = "";
      socket.on("data", (part: Buffer) => {
        text += part.toString("latin1");
        if (!text.includes("\r\n\r\n")) return;
        const request = text;
        text = "";
        const path = /^GET (\S+) /.exec(request)?.[1] ?? "";
        this.seen.set(path, { request, from: socket.remoteAddress ?? "" });
        const script = scripts[path.split("?")[0] ?? ""];
        if (script === undefined) socket.end("HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\nnone");
        else script(socket, request, (server.address() as AddressInfo).port);
      });
    });
    return this.#listen(server, host, port);
  }

  /** A certificate that nobody signed, for another name; `bits` of its RSA key. */
  certificate(bits: number): { readonly key: Buffer; readonly cert: Buffer } {
    const [key, cert] = [join(this.#folder, `key-${bits}.pem`), join(this.#folder, `cert-${bits}.pem`)];
    const words = ["req", "-x509", "-newkey", `rsa:${bits}`, "-nodes", "-keyout", key, "-out", cert, "-days", "1"];
    execFileSync("openssl", [...words, "-subj", "/CN=somebody.else.example"], { stdio: "ignore" });
    return { key: readFileSync(key), cert: readFileSync(cert) };
  }

  /** HTTPS with HTTP/1.1 only. */
  https(
    pair: { readonly key: Buffer; readonly cert: Buffer },
    more: {
      readonly requestCert?: boolean;
      readonly minVersion?: SecureVersion;
      readonly maxVersion?: SecureVersion;
    } = {},
  ): Promise<number> {
    const options = { ...pair, ...more, rejectUnauthorized: more.requestCert ?? false, ciphers: "DEFAULT@SECLEVEL=0" };
    const server = createHttps(options, (request, response) => {
      response.end(`https ${request.httpVersion} ${request.headers.host}`);
    });
    return this.#listen(server);
  }

  /** HTTPS with both; says which one was spoken. `/moved` redirects, `/big` has 20,000 bytes. */
  http2(pair: { readonly key: Buffer; readonly cert: Buffer }): Promise<number> {
    const server = createSecureServer({ ...pair, allowHTTP1: true }, (request, response) => {
      const { ":authority": authority, "x-probe": probe } = request.headers;
      if (request.url === "/moved") {
        response.writeHead(302, { location: "/h2" });
        response.end();
      } else if (request.url === "/503") {
        response.writeHead(503);
        response.end("busy");
      } else if (request.url === "/big") response.end(Buffer.alloc(20_000, "b"));
      else if (request.url !== "/hang")
        response.end(`${request.httpVersion} ${authority ?? "-"} ${String(probe ?? "-")}`);
    });
    return this.#listen(server as unknown as Server);
  }

  done(): void {
    for (const socket of this.#sockets) socket.destroy();
    for (const server of this.#servers) server.close();
  }
}

/** A whole answer with its length. */
export const plain =
  (status: string, body = "", more = ""): Script =>
  (socket) =>
    socket.end(`HTTP/1.1 ${status}\r\nContent-Length: ${Buffer.byteLength(body)}\r\n${more}\r\n${body}`);

/** Bytes as they are, then the end. */
export const bytes =
  (text: string, end = true): Script =>
  (socket) => {
    if (end) socket.end(text, "latin1");
    else socket.write(text, "latin1");
  };
