import type { AddressInfo } from "node:net";
import { createServer, type Socket } from "node:net";
import { afterEach, describe, expect, test } from "vitest";
import { type BodyStream, openBody } from "../../src/system/body-stream.ts";
import { eventually } from "../helpers/eventually.ts";

/* Bodies that are read before they are wanted, and requests that wait. */

let ends: (() => void)[] = [];
afterEach(() => {
  for (const end of ends) end();
  ends = [];
});

/** A server that answers each request with `answer`; what it has heard. */
async function serverOf(
  answer: (socket: Socket) => void,
): Promise<{ port: number; heard: () => string; sockets: Socket[] }> {
  let heard = "";
  const sockets: Socket[] = [];
  const server = createServer((socket) => {
    sockets.push(socket);
    socket.on("error", () => undefined);
    socket.on("data", (bytes: Buffer) => {
      heard += bytes.toString("latin1");
      if (heard.endsWith("\r\n\r\n")) answer(socket);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  ends.push(() => {
    for (const one of sockets) one.destroy();
    server.close();
  });
  return { port: (server.address() as AddressInfo).port, heard: () => heard, sockets };
}

function open(port: number, begin?: Promise<unknown>, signal = AbortSignal.timeout(20_000)): Promise<BodyStream> {
  return openBody({ to: { host: "127.0.0.1", port }, path: "/", headers: {}, begin, signal });
}

/** The whole body, and the sizes of its pieces. */
async function whole(stream: BodyStream): Promise<{ body: Buffer; sizes: number[] }> {
  const parts: Buffer[] = [];
  await stream.read((piece) => {
    parts.push(Buffer.from(piece));
    return undefined;
  });
  return { body: Buffer.concat(parts), sizes: parts.map(({ length }) => length) };
}

const bytesOf = (length: number): Buffer => Buffer.from(Array.from({ length }, (_, i) => (i * 7 + (i >> 8)) & 255));
const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

function withLength(socket: Socket, body: Buffer): void {
  socket.write(`HTTP/1.1 200 OK\r\ncontent-length: ${body.length}\r\n\r\n`);
  socket.write(body);
}

describe("read ahead", () => {
  test("what fits is here in one piece, though its giver is gone", async () => {
    const body = bytesOf(200_000);
    let sent = false;
    const { port } = await serverOf((socket) => {
      withLength(socket, body);
      socket.end(() => {
        sent = true;
      });
    });
    const stream = await open(port);
    stream.ahead();
    await eventually("it is sent", () => sent);
    await pause(100);
    const { body: got, sizes } = await whole(stream);
    expect(got.equals(body)).toBe(true);
    expect(sizes).toEqual([200_000]);
  });

  test("of what does not fit the rest waits where it is, and nothing is lost or out of order", async () => {
    const body = bytesOf(20_000_000);
    let sent = false;
    const { port } = await serverOf((socket) => {
      socket.write(`HTTP/1.1 200 OK\r\ncontent-length: ${body.length}\r\n\r\n`);
      socket.end(body, () => {
        sent = true;
      });
    });
    const stream = await open(port);
    stream.ahead();
    await pause(300);
    expect(sent, "more was taken than has place").toBe(false);
    const { body: got, sizes } = await whole(stream);
    expect(got.equals(body)).toBe(true);
    expect(sizes[0]).toBeGreaterThan(128 * 1024);
    expect(sizes[0]).toBeLessThanOrEqual(256 * 1024);
  });

  test("chunks of any size, before and after it is wanted", async () => {
    const body = bytesOf(500_000);
    const { port } = await serverOf((socket) => {
      socket.write("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n");
      const send = async (): Promise<void> => {
        for (let at = 0, n = 1; at < body.length; n = (n * 31 + 7) % 4_001) {
          const part = body.subarray(at, at + n + 1);
          socket.write(`${part.length.toString(16)}\r\n`);
          socket.write(part);
          socket.write("\r\n");
          at += part.length;
          if (n % 5 === 0) await pause(1);
        }
        socket.write("0\r\n\r\n");
      };
      void send();
    });
    const stream = await open(port);
    stream.ahead();
    await pause(30);
    expect((await whole(stream)).body.equals(body)).toBe(true);
  });

  test.each(["at once", "later"])("a body that is cut off is cut off all the same: %s", async (when) => {
    const { port } = await serverOf((socket) => {
      socket.write("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhello");
      setTimeout(() => socket.end(), when === "at once" ? 0 : 200);
    });
    const stream = await open(port);
    stream.ahead();
    await pause(100);
    let seen = "";
    const read = stream.read((piece) => {
      seen += piece.toString();
      return undefined;
    });
    await expect(read).rejects.toThrow("the answer was cut off");
    expect(seen).toBe("hello");
  });

  test("its place is used again only when it is over", async () => {
    const [first, second] = [bytesOf(100_000), Buffer.alloc(100_000, "x")];
    const one = await serverOf((socket) => withLength(socket, first));
    const other = await serverOf((socket) => withLength(socket, second));
    const a = await open(one.port);
    a.ahead();
    await pause(50);
    const b = await open(other.port);
    b.ahead();
    await pause(50);
    expect((await whole(a)).body.equals(first)).toBe(true);
    const c = await open(one.port);
    c.ahead();
    await pause(50);
    expect((await whole(b)).body.equals(second)).toBe(true);
    expect((await whole(c)).body.equals(first)).toBe(true);
  });
});

describe("a request that waits", () => {
  test("goes out when it may, on a connection that is there before", async () => {
    const { port, heard, sockets } = await serverOf((socket) => withLength(socket, Buffer.from("hello")));
    let begin = (): void => undefined;
    const opened = open(
      port,
      new Promise<void>((resolve) => {
        begin = resolve;
      }),
    );
    await eventually("the connection is made", () => sockets.length === 1);
    await pause(50);
    expect(heard()).toBe("");
    begin();
    expect((await whole(await opened)).body.toString()).toBe("hello");
    expect(heard()).toMatch(/^GET \/ HTTP\/1\.1\r\n/);
  });

  test("is not sent when nobody wants it any more", async () => {
    const { port, heard, sockets } = await serverOf(() => undefined);
    const stop = new AbortController();
    let begin = (): void => undefined;
    const waits = new Promise<void>((resolve) => {
      begin = resolve;
    });
    const opened = open(port, waits, stop.signal);
    const ended = expect(opened).rejects.toThrow("not wanted");
    await eventually("the connection is made", () => sockets.length === 1);
    stop.abort(new Error("not wanted"));
    await ended;
    begin();
    await pause(50);
    expect(heard()).toBe("");
  });
});
