import { createServer } from "node:net";
import { describe, expect, test } from "vitest";
import { openBody } from "../../src/system/body-stream.ts";
import { BodyFraming, HeadReader, NotHttp } from "../../src/system/response-framing.ts";
import { freePorts } from "../helpers/free-ports.ts";

/** The whole response in pieces of `size` bytes: its head and the body's bytes; "open" when it waits for more. */
function parse(
  response: string | Buffer,
  size: number,
): { status: number; body: string; end: "whole" | "open" | "connection" } {
  const bytes = Buffer.from(response);
  const heads = new HeadReader();
  let framing: BodyFraming | undefined;
  let status = 0;
  const parts: Buffer[] = [];
  const buffer = Buffer.alloc(size);
  for (let at = 0; at < bytes.length; at += size) {
    // The same buffer again and again, as the socket does it.
    const piece = buffer.subarray(0, bytes.copy(buffer, 0, at, at + size));
    let body: Buffer = piece;
    if (framing === undefined) {
      const head = heads.push(piece);
      if (head === undefined) continue;
      status = head.status;
      framing = new BodyFraming(head);
      body = heads.takeRest();
    }
    parts.push(Buffer.from(framing.push(body)));
  }
  const end = framing?.whole ? "whole" : framing?.endsWithConnection ? "connection" : "open";
  return { status, body: Buffer.concat(parts).toString(), end };
}

const cases = [
  {
    title: "a length",
    response: "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    expected: { status: 200, body: "hello", end: "whole" },
  },
  {
    title: "a length that is not reached",
    response: "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhello",
    expected: { status: 200, body: "hello", end: "open" },
  },
  {
    title: "more than the length",
    response: "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhello",
    expected: { status: 200, body: "he", end: "whole" },
  },
  {
    title: "chunks with an extension and trailers",
    response:
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n1;a=b\r\n \r\n0A\r\n0123456789\r\n0\r\nx: y\r\n\r\n",
    expected: { status: 200, body: "hello 0123456789", end: "whole" },
  },
  {
    title: "chunks without an end",
    response: "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n",
    expected: { status: 200, body: "hello", end: "open" },
  },
  {
    title: "until the connection ends",
    response: "HTTP/1.0 200\r\n\r\nhello",
    expected: { status: 200, body: "hello", end: "connection" },
  },
  {
    title: "an interim answer first",
    response: "HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\nHTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n",
    expected: { status: 404, body: "", end: "whole" },
  },
  {
    title: "the same length twice",
    response: "HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 5 , 5\r\n\r\nhello!",
    expected: { status: 200, body: "hello", end: "whole" },
  },
  {
    title: "lines of the head that end with LF alone",
    response: "HTTP/1.1 200 OK\nx: \ncontent-length: 7\n\n\r\nhello",
    expected: { status: 200, body: "\r\nhello", end: "whole" },
  },
  {
    title: "both kinds of line ends, and an interim answer",
    response: "HTTP/1.1 103 x\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 5\n\r\nhello",
    expected: { status: 200, body: "hello", end: "whole" },
  },
  {
    title: "no content",
    response: "HTTP/1.1 204 No Content\r\n\r\n",
    expected: { status: 204, body: "", end: "whole" },
  },
] as const;

describe.each(cases)("$title", ({ response, expected }) => {
  test.each([1, 2, 3, 7, 1_000])("in pieces of %i", (size) => {
    expect(parse(response, size)).toEqual(expected);
  });
});

test.each([
  ["not HTTP", "SSH-2.0-OpenSSH\r\n\r\n"],
  ["HTTP/2", "HTTP/2 200\r\n\r\n"],
  ["a line that is no header", "HTTP/1.1 200 OK\r\nno header\r\n\r\n"],
  ["a space before the colon", "HTTP/1.1 200 OK\r\ncontent-length : 3\r\n\r\n"],
  ["a folded header", "HTTP/1.1 200 OK\r\nx: y\r\n  z\r\n\r\n"],
  ["a folded header with LF", "HTTP/1.1 200 OK\nx: y\n\tz\n\n"],
  ["a CR within a line", "HTTP/1.1 200 OK\r\nx: y\r\r\n\r\n"],
  ["a chunk whose size line ends with LF alone", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\nhello\r\n"],
  ["three lengths, one of them another", "HTTP/1.1 200 OK\r\ncontent-length: 3, 3, 4\r\n\r\nhey"],
  ["the same bad length twice", "HTTP/1.1 200 OK\r\ncontent-length: x, x\r\n\r\nhey"],
  ["two lengths", "HTTP/1.1 200 OK\r\ncontent-length: 3\r\ncontent-length: 4\r\n\r\n"],
  ["a negative length", "HTTP/1.1 200 OK\r\ncontent-length: -3\r\n\r\n"],
  ["an unknown transfer encoding", "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\n"],
  ["a chunk size that is none", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nxyz\r\n"],
  ["a chunk of the wrong length", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhello\r\n"],
  ["an endless size line", `HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n${"1".repeat(5_000)}`],
  ["an endless head", `HTTP/1.1 200 OK\r\n${"x: y\r\n".repeat(20_000)}`],
  ["endless trailers", `HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n${"x: y\r\n".repeat(20_000)}`],
])("refused: %s", (_, response) => {
  expect(() => parse(response, 1_000)).toThrow(NotHttp);
});

test("the chunks of one read come as one piece, at its beginning", () => {
  const framing = new BodyFraming({ status: 200, headers: new Map([["transfer-encoding", "chunked"]]) });
  const bytes = Buffer.from("5\r\nhello\r\n1;x\r\n \r\n6\r\nworld!\r\n3\r\nan");
  const piece = framing.push(bytes);
  expect(piece.toString()).toBe("hello world!an");
  expect(piece.byteOffset).toBe(bytes.byteOffset);
  expect(framing.push(Buffer.from("d\r\n0\r\n\r\n")).toString()).toBe("d");
  expect(framing.whole).toBe(true);
});

describe("a body that breaks", () => {
  const head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";

  test.each([
    ["a size that is none", "5\r\nhello\r\n1\r\n!\r\nxyz\r\n", "hello!"],
    ["a chunk that is longer than it says", "5\r\nhello\r\n1\r\n!?\r\n", "hello!"],
    ["trailers without end", `5\r\nhello\r\n0\r\n${"x: y\r\n".repeat(20_000)}`, "hello"],
  ])("gives what came before in the same read, then throws for good: %s", (_, body, good) => {
    const framing = new BodyFraming({ status: 200, headers: new Map([["transfer-encoding", "chunked"]]) });
    expect(framing.push(Buffer.from(body)).toString()).toBe(good);
    expect(() => framing.whole).toThrow(NotHttp);
    expect(() => framing.push(Buffer.from("5\r\nhello\r\n"))).toThrow(NotHttp);
    expect(() => framing.whole).toThrow(NotHttp);
  });

  test.each(["stays open", "is closed"])("reaches the reader of a connection that %s", async (then) => {
    const [port = 0] = await freePorts(1);
    const server = createServer((socket) => {
      socket.write(`${head}5\r\nhello\r\nxyz\r\n`);
      if (then === "is closed") socket.end();
      socket.on("error", () => undefined).resume();
    });
    await new Promise<void>((resolve) => server.listen(port, "127.0.0.1", resolve));
    const signal = AbortSignal.timeout(10_000);
    const stream = await openBody({ to: { host: "127.0.0.1", port }, path: "/", headers: {}, signal });
    let seen = "";
    const read = stream.read(async (piece) => {
      seen += piece.toString();
    });
    await expect(read).rejects.toThrow(NotHttp);
    expect(seen).toBe("hello");
    await new Promise((resolve) => server.close(resolve));
  });
});
