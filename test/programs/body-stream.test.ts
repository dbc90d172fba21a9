import type { AddressInfo } from "node:net";
import { createServer, type Socket } from "node:net";
import { afterEach, describe, expect, test } from "vitest";
import { type BodyStream, openBody } from "../../src/system/body-stream.ts";
import { turnOfTheLoop } from "../../src/system/turn.ts";
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

function withLength(socket: Socket, body: Buffer): void {
  socket.write(`HTTP/1.1 200 OK\r\ncontent-length: ${body.length}\r\n\r\n`);
  socket.end(body);
}

/** Who reads to the end answers it with its own: then nothing is on the way any more. */
const taken = ({ sockets }: { readonly sockets: readonly Socket[] }): Promise<unknown> =>
  eventually("all is taken", () => sockets.length > 0 && sockets.every(({ closed }) => closed));

describe("read ahead", () => {
  test("what fits is here in one piece, though its giver is gone", async () => {
    const body = bytesOf(200_000);
    const server = await serverOf((socket) => withLength(socket, body));
    const stream = await open(server.port);
    stream.ahead();
    await taken(server);
    const { body: got, sizes } = await whole(stream);
    expect(got.equals(body)).toBe(true);
    expect(sizes).toEqual([200_000]);
  });

  test("of what does not fit the rest waits where it is, and nothing is lost or out of order", async () => {
    const body = bytesOf(20_000_000);
    const { port, sockets } = await serverOf((socket) => {
      socket.write(`HTTP/1.1 200 OK\r\ncontent-length: ${body.length}\r\n\r\n`);
      for (let at = 0; at < body.length; at += 50_000) socket.write(body.subarray(at, at + 50_000));
    });
    const stream = await open(port);
    stream.ahead();
    let [before, same] = [0, 0];
    await eventually("no more is taken", () => {
      const now = sockets[0]?.writableLength ?? 0;
      same = now > 0 && now === before ? same + 1 : 0;
      before = now;
      return same > 5;
    });
    const { body: got, sizes } = await whole(stream);
    expect(got.equals(body)).toBe(true);
    expect(sizes[0]).toBeGreaterThan(128 * 1024);
    expect(sizes[0]).toBeLessThanOrEqual(256 * 1024);
  });

  test("chunks of any size, before and after it is wanted", async () => {
    const body = bytesOf(500_000);
    let at = 0;
    const { port } = await serverOf((socket) => {
      socket.write("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n");
      const send = async (): Promise<void> => {
        for (let n = 1; at < body.length; n = (n * 31 + 7) % 4_001) {
          const part = body.subarray(at, at + n + 1);
          socket.write(`${part.length.toString(16)}\r\n`);
          socket.write(part);
          socket.write("\r\n");
          at += part.length;
          if (n % 5 === 0) await turnOfTheLoop();
        }
        socket.write("0\r\n\r\n");
      };
      void send();
    });
    const stream = await open(port);
    stream.ahead();
    await eventually("some of it is on its way", () => at > 100_000);
    expect((await whole(stream)).body.equals(body)).toBe(true);
  });

  test.each(["before", "while"])("a body that is cut off %s it is read is cut off all the same", async (when) => {
    const server = await serverOf((socket) => {
      socket.write("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhello");
      if (when === "before") socket.end();
    });
    const stream = await open(server.port);
    stream.ahead();
    if (when === "before") await taken(server);
    let seen = "";
    const read = stream.read((piece) => {
      seen += piece.toString();
      return undefined;
    });
    if (when === "while") server.sockets[0]?.end();
    await expect(read).rejects.toThrow("the answer was cut off");
    expect(seen).toBe("hello");
  });

  test("its place is used again only when it is over", async () => {
    const [first, second] = [bytesOf(100_000), Buffer.alloc(100_000, "x")];
    const one = await serverOf((socket) => withLength(socket, first));
    const other = await serverOf((socket) => withLength(socket, second));
    const a = await open(one.port);
    a.ahead();
    await taken(one);
    const b = await open(other.port);
    b.ahead();
    await taken(other);
    expect((await whole(a)).body.equals(first)).toBe(true);
    const c = await open(one.port);
    c.ahead();
    await taken(one);
    expect((await whole(b)).body.equals(second)).toBe(true);
    expect((await whole(c)).body.equals(first)).toBe(true);
  });
});

describe("a request that waits", () => {
  const requests = (heard: string): number => heard.split("GET / ").length - 1;

  test("goes out when it may, on a connection that is there before", async () => {
    const { port, heard, sockets } = await serverOf((socket) => withLength(socket, Buffer.from("hello")));
    const { promise, resolve } = Promise.withResolvers<void>();
    const opened = open(port, promise);
    await eventually("the connection is made", () => sockets.length === 1);
    // One that comes later is answered meanwhile, and is the only one.
    await whole(await open(port));
    expect(requests(heard())).toBe(1);
    resolve();
    expect((await whole(await opened)).body.toString()).toBe("hello");
    expect([requests(heard()), sockets.length]).toEqual([2, 2]);
  });

  test("is not sent when nobody wants it any more", async () => {
    const { port, heard, sockets } = await serverOf((socket) => withLength(socket, Buffer.from("hello")));
    const stop = new AbortController();
    const { promise, resolve } = Promise.withResolvers<void>();
    const ended = expect(open(port, promise, stop.signal)).rejects.toThrow("not wanted");
    await eventually("the connection is made", () => sockets.length === 1);
    stop.abort(new Error("not wanted"));
    await ended;
    resolve();
    await whole(await open(port));
    expect(requests(heard())).toBe(1);
  });
});
