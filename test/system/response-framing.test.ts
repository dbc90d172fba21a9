import { describe, expect, test } from "vitest";
import { BodyFraming, HeadReader, NotHttp } from "../../src/system/response-framing.ts";

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
      body = heads.rest;
    }
    for (const part of framing.push(body)) parts.push(Buffer.from(part));
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
