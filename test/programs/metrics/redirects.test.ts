import type { IncomingMessage, RequestListener } from "node:http";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, describe, expect, test } from "vitest";
import { type Answer, type Rig, startRig } from "./scrape-rig.ts";

let rig: Rig | undefined;
let elsewhere: Server | undefined;
afterEach(async () => {
  await rig?.done();
  elsewhere?.closeAllConnections();
  await new Promise((resolve) => (elsewhere === undefined ? resolve(0) : elsewhere.close(resolve)));
  rig = undefined;
  elsewhere = undefined;
});

/** Where the source's own server is, as it sees itself. */
const portOf = ({ socket }: IncomingMessage): number => socket.localPort ?? 0;

interface Seen {
  /** The paths that were asked for, in order. */
  readonly paths: readonly string[];
  readonly found: boolean;
  readonly cause: string | undefined;
}

/** A source that sends who asks for `/metrics` to the place that `to` names, and has its page at `/metrics/`. */
async function follow(to: (request: IncomingMessage) => string | undefined, status = 307): Promise<Seen> {
  const answer: RequestListener = (request, response) => {
    if (request.url?.includes("/metrics/") === true) return void response.end("moved 1\n");
    const location = to(request);
    response.writeHead(status, location === undefined ? {} : { location }).end("it is elsewhere\n");
  };
  return outcome({ applications: [answer] });
}

async function outcome(parts: { applications?: readonly Answer[]; envoy?: Answer }): Promise<Seen> {
  rig = await startRig(parts);
  const page = (await rig.scrape()).body.toString();
  return {
    paths: Object.values(rig.seen).flatMap((all) => all.map(({ url }) => url ?? "")),
    found: page.includes("\nmoved 1\n"),
    cause: /^pilotfish_scrape_source_failure\{source="(?:application:.*|envoy)",cause="(\w+)"\} 1$/m.exec(page)?.[1],
  };
}

const followed: Seen = { paths: ["/metrics", "/metrics/"], found: true, cause: undefined };
const refused: Seen = { paths: ["/metrics"], found: false, cause: "status" };

describe("within the same server", () => {
  test.each<readonly [how: string, to: (request: IncomingMessage) => string]>([
    ["a path", () => "/metrics/"],
    ["a path beside the one that was asked for", () => "metrics/"],
    ["a path with dots", () => "./x/../metrics/"],
    ["an address", (request) => `http://127.0.0.1:${portOf(request)}/metrics/`],
    ["an address without a scheme", (request) => `//127.0.0.1:${portOf(request)}/metrics/`],
    ["the name of loopback", (request) => `http://localhost:${portOf(request)}/metrics/`],
    ["an address in capitals", (request) => `HTTP://LOCALHOST:${portOf(request)}/metrics/`],
    ["a place on the page", () => "/metrics/#now"],
  ])("%s is followed", async (_, to) => {
    expect(await follow(to)).toEqual(followed);
  });

  test("a path beside another one that was sent on to", async () => {
    const { paths, found } = await follow(({ url }) => (url === "/metrics" ? "/deep/er" : "metrics/"));
    expect([paths, found]).toEqual([["/metrics", "/deep/er", "/deep/metrics/"], true]);
  });

  test("a query is kept", async () => {
    expect(await follow(() => "/metrics/?name[]=a&b=c%20d")).toEqual({
      ...followed,
      paths: ["/metrics", "/metrics/?name[]=a&b=c%20d"],
    });
  });

  test.each([301, 302, 303, 307, 308])("%i is followed", async (status) => {
    expect(await follow(() => "/metrics/", status)).toEqual(followed);
  });

  test.each([300, 304, 305, 306, 399])("%i is not", async (status) => {
    expect(await follow(() => "/metrics/", status)).toEqual(refused);
  });

  test("the other place is asked for the same", async () => {
    await follow(() => "/metrics/");
    const [first, second] = rig?.seen["application0"] ?? [];
    expect(second?.headers).toEqual(first?.headers);
    expect([second?.method, second?.headers.accept]).toEqual(["GET", first?.headers.accept]);
  });

  test("Envoy is followed too", async () => {
    const envoy: RequestListener = (request, response) => {
      if (request.url === "/elsewhere?usedonly") response.end("moved 1\n");
      else response.writeHead(308, { location: "/elsewhere?usedonly" }).end();
    };
    expect(await outcome({ envoy })).toEqual({
      paths: ["/stats/prometheus", "/elsewhere?usedonly"],
      found: true,
      cause: undefined,
    });
  });
});

describe("to another server", () => {
  /** A server that must not be asked; how often it was. */
  async function other(host: string, port = 0): Promise<{ readonly port: number; readonly asked: () => number }> {
    let asked = 0;
    elsewhere = createServer((_request, response) => {
      asked++;
      response.end("moved 1\n");
    });
    // A connection is one too many already.
    elsewhere.on("connection", () => asked++);
    await new Promise<void>((resolve, reject) => elsewhere?.once("error", reject).listen(port, host, resolve));
    return { port: (elsewhere.address() as AddressInfo).port, asked: () => asked };
  }

  test.each([
    ["an address", (port: number) => `http://127.0.0.1:${port}/metrics/`],
    ["one without a scheme", (port: number) => `//127.0.0.1:${port}/metrics/`],
    ["a name", (port: number) => `http://localhost:${port}/metrics/`],
    ["with a user", (port: number) => `http://127.0.0.1@localhost:${port}/metrics/`],
  ])("on another port it is not asked: %s", async (_, to) => {
    const { port, asked } = await other("127.0.0.1");
    expect(await follow(() => to(port))).toEqual(refused);
    expect(asked()).toBe(0);
  });

  test("on another address with the same port it is not asked", async () => {
    let asked = (): number => -1;
    const answer: RequestListener = (request, response) =>
      void other("127.0.0.2", portOf(request)).then((there) => {
        asked = there.asked;
        response.writeHead(307, { location: `http://127.0.0.2:${there.port}/metrics/` }).end();
      });
    expect(await outcome({ applications: [answer] })).toEqual(refused);
    expect(asked()).toBe(0);
  });

  test.each<readonly [how: string, to: (request: IncomingMessage) => string | undefined]>([
    ["another scheme", (request) => `https://127.0.0.1:${portOf(request)}/metrics/`],
    ["no port", () => "http://127.0.0.1/metrics/"],
    ["another name", (request) => `http://metrics.example:${portOf(request)}/metrics/`],
    ["no address at all", () => "http://:::/"],
    ["a file", () => "file:///metrics/"],
  ])("%s is not followed", async (_, to) => {
    expect(await follow(to)).toEqual(refused);
  });
});

describe("without an end", () => {
  test.each<readonly [how: string, to: (request: IncomingMessage) => string | undefined]>([
    ["to itself", () => "/metrics"],
    ["to nowhere", () => undefined],
    ["from one place to the next", ({ url = "" }) => `${url}x`],
  ])("a source is given up after three: %s", async (_, to) => {
    const { paths, found, cause } = await follow(to);
    expect([paths.length, found, cause]).toEqual([4, false, "status"]);
  });

  test("three are followed", async () => {
    const { paths, found } = await follow(({ url = "" }) => (url.length < 10 ? `${url}x` : "/metrics/"));
    expect([paths, found]).toEqual([["/metrics", "/metricsx", "/metricsxx", "/metrics/"], true]);
  });
});
