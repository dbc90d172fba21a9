import { type Http2Server, createServer as http2Server, type ServerHttp2Stream } from "node:http2";
import { type AddressInfo, createServer, type Server as NetServer } from "node:net";
import { Server, ServerCredentials, status } from "@grpc/grpc-js";
import { afterEach, describe, expect, test } from "vitest";
import { within } from "../../src/foundation/time.ts";
import { CallFailed, unaryCall } from "../../src/protocol/grpc-client.ts";
import { grpcStatus } from "../../src/protocol/grpc-status.ts";
import { realClock } from "../../src/system/clock.ts";
import { connectStream } from "../../src/system/tls.ts";

/* The call that asks the CA, before grpc-js as the other side, and before servers that misbehave. */

const ends: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

const path = "/a.B/C";
interface Told {
  readonly code: number;
  readonly text: string;
}

/** The answer, or how the call failed; the connection is gone afterwards. */
async function call(port: number, message = Buffer.from("question"), limit = 1_000_000): Promise<Buffer | Told> {
  const socket = await connectStream({ host: "127.0.0.1", port, timeout: 5_000, tls: undefined });
  try {
    const origin = `http://127.0.0.1:${port}`;
    const asked = { origin, path, metadata: [["x-tenant", "blue"]] as const, message, deadline: 5_000, limit };
    const answered = await within(realClock, 10_000, unaryCall(socket, asked));
    if (answered.timedOut) throw new Error("the call never ended");
    return answered.value;
  } catch (error) {
    if (!(error instanceof CallFailed)) throw error;
    return { code: error.code, text: error.message };
  } finally {
    socket.destroy();
  }
}

const bytes = (value: Buffer): Buffer => value;

async function grpcJs(handler: Parameters<Server["addService"]>[1][string]): Promise<number> {
  const server = new Server();
  const method = { path, requestStream: false, responseStream: false, requestSerialize: bytes };
  const codec = { requestDeserialize: bytes, responseSerialize: bytes, responseDeserialize: bytes };
  server.addService({ call: { ...method, ...codec } }, { call: handler });
  ends.push(() => server.forceShutdown());
  return new Promise((resolve, reject) => {
    server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, port) =>
      error === null ? resolve(port) : reject(error),
    );
  });
}

describe("a unary call to grpc-js", () => {
  test("message, metadata and deadline arrive; the answer comes back, also a large one", async () => {
    const seen: unknown[] = [];
    const port = await grpcJs(((one: never, done: (error: null, value: Buffer) => void) => {
      const { request, metadata, getDeadline } = one as {
        request: Buffer;
        metadata: { getMap(): object };
        getDeadline(): Date;
      };
      seen.push(request.toString(), metadata.getMap(), typeof getDeadline.call(one));
      done(null, Buffer.alloc(700_000, 7));
    }) as never);
    expect(await call(port)).toEqual(Buffer.alloc(700_000, 7));
    expect(seen).toMatchObject(["question", { "x-tenant": "blue" }, expect.stringMatching(/number|object/)]);
  });

  test("a refusal with its words, letters beyond ASCII among them; a method that it does not have", async () => {
    const port = await grpcJs(((_one: unknown, done: (error: object) => void) =>
      done({ code: status.PERMISSION_DENIED, details: "no: ½ % & ü" })) as never);
    expect(await call(port)).toEqual({ code: grpcStatus.permissionDenied, text: "no: ½ % & ü" });
    const other = new Server();
    ends.push(() => other.forceShutdown());
    const empty = await new Promise<number>((resolve) => {
      other.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (_error, bound) => resolve(bound));
    });
    expect(await call(empty)).toMatchObject({ code: grpcStatus.unimplemented });
  });
});

/** An HTTP/2 server that does with a call what the test says. */
async function raw(onStream: (stream: ServerHttp2Stream) => void): Promise<number> {
  const server: Http2Server = http2Server();
  server.on("stream", (stream) => {
    stream.on("error", () => undefined);
    onStream(stream);
  });
  server.on("session", (session) => ends.push(() => session.destroy()));
  return listening(server);
}

function listening(server: Http2Server | NetServer): Promise<number> {
  ends.unshift(() => new Promise((resolve) => server.close(resolve)));
  return new Promise((resolve) => {
    server.listen(0, "127.0.0.1", () => resolve((server.address() as AddressInfo).port));
  });
}

const ok = { ":status": 200, "content-type": "application/grpc" } as const;
/** Headers, some bytes, and trailers. */
const answer =
  (body: Buffer, trailers: Record<string, string>) =>
  (stream: ServerHttp2Stream): void => {
    stream.respond(ok, { waitForTrailers: true });
    stream.once("wantTrailers", () => stream.sendTrailers(trailers));
    stream.end(body);
  };
const frame = (text: string, flag = 0): Buffer => {
  const head = Buffer.alloc(5, flag);
  head.writeUInt32BE(text.length, 1);
  return Buffer.concat([head, Buffer.from(text)]);
};

describe("a unary call to a server that misbehaves", () => {
  test.each<[string, (stream: ServerHttp2Stream) => void, Told]>([
    ["OK without a message", answer(Buffer.alloc(0), { "grpc-status": "0" }), { code: 12, text: "0 messages came" }],
    [
      "two messages",
      answer(Buffer.concat([frame("a"), frame("b")]), { "grpc-status": "0" }),
      { code: 12, text: "2 messages came" },
    ],
    [
      "a compressed message",
      answer(frame("a", 1), { "grpc-status": "0" }),
      { code: 13, text: "a compressed message, which was not asked for" },
    ],
    [
      "a message above the limit",
      answer(frame("x".repeat(2_000_000)), { "grpc-status": "0" }),
      { code: 8, text: "a message of 2000000 bytes; at most 1000000 are taken" },
    ],
    [
      "a status that is no number",
      answer(Buffer.alloc(0), { "grpc-status": "many", "grpc-message": "%%" }),
      { code: 2, text: "%%" },
    ],
    [
      "HTTP 503 of something in between",
      (stream) => stream.respond({ ":status": 503 }, { endStream: true }),
      { code: 14, text: "it answered with HTTP status 503" },
    ],
    [
      "HTTP 401",
      (stream) => stream.respond({ ":status": 401 }, { endStream: true }),
      { code: 16, text: "it answered with HTTP status 401" },
    ],
    [
      "a reset: refused stream",
      (stream) => stream.close(7),
      { code: 14, text: "it reset the call with HTTP/2's code 7" },
    ],
    ["a reset: calm down", (stream) => stream.close(11), { code: 8, text: "it reset the call with HTTP/2's code 11" }],
    [
      "an end without trailers",
      (stream) => {
        stream.respond(ok);
        stream.end(frame("a"));
      },
      { code: 14, text: "the connection was lost" },
    ],
    [
      "a connection that ends in the middle",
      (stream) => {
        stream.respond(ok);
        stream.write(frame("abc").subarray(0, 6));
        stream.session?.destroy();
      },
      { code: 14, text: expect.stringMatching(/^the connection was lost/) as string },
    ],
  ])("%s", async (_title, onStream, told) => {
    expect(await call(await raw(onStream))).toEqual(told);
  });

  test("a server that speaks something else", async () => {
    const server = createServer((socket) => {
      socket.on("error", () => undefined);
      socket.resume().end("HTTP/1.1 400 Bad Request\r\n\r\n");
    });
    expect(await call(await listening(server))).toMatchObject({
      code: 14,
      text: expect.stringMatching(/^the connection was lost: /) as string,
    });
  });
});
