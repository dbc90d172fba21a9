import { type ClientHttp2Session, connect as connectHttp2, constants } from "node:http2";
import type { Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import type { Exchanged, ProbeGet } from "./probe-http.ts";

/**
 * TLS over it, as the kubelet does: whatever the certificate is, also a weak one; HTTP/2 is offered when `http2`.
 * The result tells what the other side chose.
 */
export function secureProbe(
  socket: Socket,
  http2: boolean,
  signal: AbortSignal,
): Promise<{ readonly socket: Socket; readonly http2: boolean }> {
  signal.throwIfAborted();
  return new Promise((resolve, reject) => {
    const secure = connectTls({
      socket,
      rejectUnauthorized: false,
      ALPNProtocols: http2 ? ["h2", "http/1.1"] : ["http/1.1"],
      ciphers: "DEFAULT@SECLEVEL=0",
    });
    const end = () => {
      signal.removeEventListener("abort", onAbort);
      secure.removeAllListeners("error");
    };
    const onAbort = () => secure.destroy(signal.reason as Error);
    signal.addEventListener("abort", onAbort);
    secure.once("error", (error) => {
      end();
      secure.on("error", () => undefined);
      socket.destroy();
      reject(error);
    });
    secure.once("secureConnect", () => {
      end();
      resolve({ socket: secure, http2: secure.alpnProtocol === "h2" });
    });
  });
}

/** HTTP/2 over a connection that chose it; its errors are told by the requests on it. */
export function openSession(host: string, socket: Socket): ClientHttp2Session {
  const session = connectHttp2(`https://${host}`, { createConnection: () => socket });
  session.on("error", () => undefined);
  return session;
}

/** One GET on a connection that speaks HTTP/2. */
export function getHttp2(what: ProbeGet, session: ClientHttp2Session): Promise<Exchanged> {
  return new Promise((resolve, reject) => {
    session.once("error", reject);
    const stream = session.request({
      ":method": "GET",
      ":scheme": "https",
      ":authority": what.host,
      ":path": what.path,
      ...joined(what.headers),
    });
    stream.on("error", reject);
    stream.once("close", () => {
      session.off("error", reject);
      reject(new Error("the stream was closed without an answer"));
    });
    stream.once("response", (headers) => {
      const parts: Buffer[] = [];
      let size = 0;
      const done = () => {
        const answer = {
          status: Number(headers[":status"]),
          location: headers.location?.toString(),
          body: Buffer.concat(parts, size).subarray(0, what.bodyLimit),
        };
        resolve({ answer, reusable: true });
      };
      stream.on("data", (part: Buffer) => {
        parts.push(part);
        size += part.length;
        if (size <= what.bodyLimit) return;
        done();
        stream.close(constants.NGHTTP2_CANCEL);
      });
      stream.once("end", done);
    });
    stream.end();
  });
}

/** HTTP/2 wants lower case, and node:http2 one entry a name. */
function joined(headers: ProbeGet["headers"]): Record<string, string[]> {
  const out: Record<string, string[]> = {};
  for (const [name, value] of headers) out[name.toLowerCase()] = [...(out[name.toLowerCase()] ?? []), value];
  return out;
}
