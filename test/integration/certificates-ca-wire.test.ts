import { readFileSync, writeFileSync } from "node:fs";
import type { IncomingHttpHeaders } from "node:http2";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { issuePair } from "../../src/control-plane/certificate-authority.ts";
import { requestCertificate } from "../../src/identity/ca-client.ts";
import { makePrivateKey } from "../../src/identity/private-key.ts";
import { signingRequest } from "../../src/identity/signing-request.ts";
import { createGrpcServer, type MessageCall, messages } from "../../src/protocol/grpc-server.ts";
import { certificateRequest, certificateResponse } from "../../src/protocol/messages.ts";
import { paths } from "../../src/protocol/names.ts";
import { realClock } from "../../src/system/clock.ts";
import { listenTcp } from "../../src/system/tls.ts";
import { identity, jwt, type World, world } from "../identity/harness.ts";

/* What a CA sees of a request for a certificate, byte for byte, and what becomes of answers that are none. */

let w: World;
const ends: (() => unknown)[] = [];
beforeEach(async () => {
  w = await world();
  ends.push(() => w.done());
});
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

interface Seen {
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly message: Buffer;
}

/** A CA in plain HTTP/2 that does with a request what the test says. */
async function rawCa(onRequest: (call: MessageCall) => void): Promise<{ port: number; seen: Seen[] }> {
  const seen: Seen[] = [];
  const server = createGrpcServer({
    onBug: (error) => {
      throw error;
    },
    route: (path) =>
      messages(1_000_000, (call) => ({
        onMessage: (message) => {
          seen.push({ path, headers: call.headers, message: Buffer.from(message) });
          onRequest(call);
        },
        onEnd: () => undefined,
        onClose: () => undefined,
      })),
  });
  const listener = await listenTcp({ host: "127.0.0.1", port: 0 }, (socket) => server.accept(socket));
  ends.push(() => {
    const closed = listener.close();
    server.close();
    return closed;
  });
  return { port: listener.port, seen };
}

async function ask(changes: Parameters<World["config"]>[0]) {
  const key = await makePrivateKey({ type: "ecdsa", curve: "P256" }, true);
  return requestCertificate(w.config(changes), signingRequest(key, identity), realClock, 5_000);
}

const plain = (port: number) => ({ ...w.config().ca, port, tls: false });

describe("what the CA sees", () => {
  test("path, token, cluster, further headers, request, lifetime and signer", async () => {
    const { port, seen } = await rawCa((call) => {
      call.send(certificateResponse.encode({ certChain: ["leaf", "root"] }));
      call.end(0);
    });
    w.writeToken("token-of-now\n");
    const ca = { ...plain(port), headers: [["x-tenant", "blue"]] as const };
    const certificate = { ...w.config().certificate, lifetime: 5_400_000 };
    const answer = await ask({ ca, certificate, clusterId: "east", certSigner: "clusterissuers.x/y" });
    expect(answer).toEqual({ ok: true, chain: ["leaf", "root"] });
    expect(seen).toHaveLength(1);
    expect(seen[0]?.path).toBe(paths.createCertificate);
    expect(seen[0]?.headers).toMatchObject({
      ":authority": `127.0.0.1:${port}`,
      "content-type": "application/grpc",
      te: "trailers",
      authorization: "Bearer token-of-now",
      clusterid: "east",
      "x-tenant": "blue",
      "grpc-timeout": "5000m",
    });
    const asked = certificateRequest.decode(seen[0]?.message ?? Buffer.alloc(0));
    expect(asked.csr).toMatch(/^-----BEGIN CERTIFICATE REQUEST-----/);
    expect(asked.validityDuration).toBe(5_400);
    expect(asked.metadata?.fields["CertSigner"]?.stringValue).toBe("clusterissuers.x/y");
  });

  test("without a token there is no header of it, and without a signer no metadata", async () => {
    const { port, seen } = await rawCa((call) => call.end(16, "who are you"));
    expect(await ask({ ca: plain(port), tokenPath: w.path("nowhere") })).toMatchObject({ ok: false, code: 16 });
    expect(seen[0]?.headers["authorization"]).toBeUndefined();
    expect(certificateRequest.decode(seen[0]?.message ?? Buffer.alloc(0)).metadata).toBeNull();
  });

  test("a client certificate that has expired counts no more: the token is sent", async () => {
    const accepted = w.path("accepted");
    writeFileSync(accepted, "the-token");
    const strict = await world({ tokenFile: accepted });
    ends.push(() => strict.done());
    const read = (name: string): string => readFileSync(strict.path(`ca/${name}.pem`), "utf8");
    const authority = {
      root: { certificate: read("root-cert"), key: read("root-key") },
      intermediate: { certificate: read("ca-cert"), key: read("ca-key") },
    };
    const files = { certificate: w.path("old.pem"), key: w.path("old.key"), root: w.path("run/root-cert.pem") };
    const pair = issuePair(
      authority,
      { uris: [identity] },
      { from: new Date(Date.now() - 60_000), to: new Date(Date.now() - 1_000) },
    );
    writeFileSync(files.certificate, pair.certificate);
    writeFileSync(files.key, pair.key);
    const ca = { ...strict.config().ca, clientCertificate: files };
    w.writeToken("another");
    expect(await ask({ ca })).toMatchObject({ ok: false, code: 16 });
    w.writeToken("the-token");
    expect(await ask({ ca })).toMatchObject({ ok: true });
  });

  test("the first file that holds a root is the one that counts", async () => {
    const other = await world();
    ends.push(() => other.done());
    writeFileSync(w.path("empty.pem"), "");
    const roots = (...names: readonly string[]) => ({ ca: { ...w.config().ca, roots: names } });
    const [right, wrong] = [w.path("run/root-cert.pem"), other.path("run/root-cert.pem")];
    expect(await ask(roots(w.path("nowhere.pem"), w.path("empty.pem"), right, wrong))).toMatchObject({ ok: true });
    expect(await ask(roots(w.path("nowhere.pem"), wrong, right))).toMatchObject({ ok: false, code: 14 });
    // A CA of our own is none that the operating system knows.
    const system = await ask({ ca: { ...w.config().ca, roots: "SYSTEM" } });
    expect(system).toMatchObject({ ok: false, reason: expect.stringContaining("not signed by our root") as string });
  });
});

describe("answers that are none", () => {
  test.each<[string, (call: MessageCall) => void, RegExp]>([
    [
      "bytes that are no message",
      (call) => {
        call.send(Buffer.from("ffffffffffffffffffff", "hex"));
        call.end(0);
      },
      /^the CA at 127\.0\.0\.1:\d+ failed: UNKNOWN: ./,
    ],
    [
      "a connection that is cut",
      (call) => call.socket.destroy(),
      /^cannot reach the CA at .*: the connection was lost/,
    ],
    ["a status that nobody knows", (call) => call.end(99, "odd"), /^the CA at .* failed: code 99: odd$/],
    ["an error of the CA", (call) => call.end(13, "boom"), /^the CA at .* failed: INTERNAL: boom$/],
    ["an expired token", (call) => call.end(16, "no"), /^token expired at 20\d\d-.*run\/token must be renewed$/],
  ])("%s", async (_title, onRequest, says) => {
    w.writeToken(jwt(-60));
    const { port } = await rawCa(onRequest);
    const answer = await ask({ ca: plain(port) });
    expect(answer.ok ? "" : answer.reason).toMatch(says);
  });

  test("files of a client certificate that are no PEM are said, and are no matter of the network", async () => {
    const files = { certificate: w.path("c.pem"), key: w.path("k.pem"), root: w.path("run/root-cert.pem") };
    const pem = readFileSync(w.path("ca/root-cert.pem"), "utf8");
    writeFileSync(files.certificate, pem);
    writeFileSync(files.key, "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n");
    expect(await ask({ ca: { ...w.config().ca, clientCertificate: files } })).toMatchObject({ ok: false, code: 2 });
  });
});
