import { createServer, type Server, type ServerResponse } from "node:http";
import { type AddressInfo, connect, type Socket } from "node:net";
import { afterEach, beforeEach, expect, test } from "vitest";
import { PageOutput } from "../../../src/metrics/page-output.ts";
import { PageWriter } from "../../../src/metrics/page-writer.ts";
import { turnOfTheLoop } from "../../../src/system/turn.ts";

let server: Server;
let scraper: Socket;
let response: ServerResponse;
/** A response whose reader reads nothing. */
beforeEach(async () => {
  server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const asked = new Promise<ServerResponse>((resolve) => server.once("request", (_request, one) => resolve(one)));
  scraper = connect((server.address() as AddressInfo).port, "127.0.0.1");
  scraper.on("error", () => undefined).pause();
  scraper.write("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  response = await asked;
  response.writeHead(200);
});
afterEach(async () => {
  scraper.destroy();
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
});

// The callback of a block that the kernel took at once comes later, when another one is waited for.
test("whoever waits for the way of the last block is not woken by those before it", async () => {
  const writer = new PageWriter();
  const output = new PageOutput(response, undefined, writer);
  const block = Buffer.alloc(60_000, "x");
  let wait: Promise<void> | undefined;
  // In one turn, as the chunks of one read come.
  while (wait === undefined) {
    writer.append(block, 0, block.length);
    wait = output.flush(new AbortController().signal);
  }
  let free = false;
  wait.then(
    () => {
      free = true;
    },
    () => undefined,
  );
  for (let i = 0; i < 20; i++) await turnOfTheLoop();
  expect(response.socket?.writableLength).toBeGreaterThan(0);
  expect(free).toBe(false);
});
