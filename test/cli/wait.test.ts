import { createServer, type Server } from "node:http";
import { afterEach, describe, expect, test } from "vitest";
import { waitCommand } from "../../src/cli/commands/wait.ts";
import { parseArguments } from "../../src/cli/parse-arguments.ts";
import { askUrl, readWait, run } from "../../src/cli/run-wait.ts";
import { type Answer, waitUntil } from "../../src/cli/wait-loop.ts";
import { InvalidConfig, Refused } from "../../src/foundation/errors.ts";
import { FakeClock } from "../fakes/fake-clock.ts";
import { freePorts } from "../helpers/free-ports.ts";

const flagsOf = (words: readonly string[]) => parseArguments(words, waitCommand.options).flags;
/** Lets the loop's promises settle. */
const settle = async (): Promise<void> => {
  for (let turn = 0; turn < 20; turn++) await Promise.resolve();
};

describe("the loop", () => {
  /** Runs the loop against answers by time; every answer takes no time. */
  async function play(answerAt: (now: number) => Answer, total: number, period = 500) {
    const clock = new FakeClock();
    const told: string[] = [];
    const limits: number[] = [];
    let result: unknown;
    const ask = (limit: number) => {
      limits.push(limit);
      return Promise.resolve(answerAt(clock.monotonic()));
    };
    const done = waitUntil(clock, { total, request: 500, period }, ask, (because) => {
      told.push(`${clock.monotonic()} ${because}`);
    }).then((value) => {
      result = value;
    });
    await settle();
    while (result === undefined && clock.pending() > 0) {
      clock.advance(period);
      await settle();
    }
    await done;
    expect(clock.pending()).toBe(0);
    return { result, told, limits, at: clock.monotonic() };
  }

  const no = (because: string): Answer => ({ ready: false, because });

  test("ready at once says nothing", async () => {
    expect(await play(() => ({ ready: true }), 60_000)).toMatchObject({ result: { ready: true }, told: [], at: 0 });
  });

  test("a new reason is told, the same one rarely", async () => {
    const seen = await play((now) => (now < 3_000 ? no("a") : now < 26_000 ? no("b") : { ready: true }), 60_000);
    expect(seen.result).toEqual({ ready: true });
    expect(seen.told).toEqual(["0 a", "3000 b", "13000 b", "23000 b"]);
  });

  test("reasons that flap are told once a second at most", async () => {
    const seen = await play((now) => no(`reason of ${now}`), 3_000, 100);
    expect(seen.told.map((line) => line.split(" ")[0])).toEqual(["0", "1000", "2000"]);
  });

  test("over is over: the last reason is the result, and no question begins after the end", async () => {
    const seen = await play(() => no("not yet"), 2_000);
    expect(seen.result).toEqual({ ready: false, because: "not yet" });
    expect(seen.at).toBe(1_500);
    expect(seen.limits).toEqual([500, 500, 500, 500]);
  });

  test("a time of 0 asks once", async () => {
    expect((await play(() => no("no"), 0)).limits).toEqual([500]);
  });
});

describe("a question to a URL", () => {
  let server: Server | undefined;
  afterEach(() => new Promise<void>((done) => (server ? server.close(() => done()) : done())));

  async function serve(status: number, body: string): Promise<URL> {
    const [port = 0] = await freePorts(1);
    server = createServer((_, response) => response.writeHead(status).end(body));
    await new Promise<void>((done) => server?.listen(port, "127.0.0.1", done));
    return new URL(`http://localhost:${port}/healthz/ready?x=1`);
  }

  test.each([
    { status: 200, body: "", answer: { ready: true } },
    { status: 204, body: "", answer: { ready: true } },
    { status: 503, body: "no listener\n yet ", answer: { ready: false, because: "503 no listener yet" } },
    { status: 404, body: "", answer: { ready: false, because: "the answer is 404" } },
  ])("$status becomes $answer", async ({ status, body, answer }) => {
    expect(await askUrl(await serve(status, body), 2_000)).toEqual(answer);
  });

  test("nobody there, and a reason of any length is cut", async () => {
    const [port = 0] = await freePorts(1);
    const nobody = await askUrl(new URL(`http://localhost:${port}/`), 2_000);
    expect(nobody).toEqual({ ready: false, because: "connection refused: nobody listens there (ECONNREFUSED)" });
    const long = await askUrl(await serve(500, "x".repeat(10_000)), 2_000);
    expect(JSON.stringify(long).length).toBeLessThan(400);
  });

  test("the command tells and then gives up with the reason", async () => {
    const url = await serve(503, "draining");
    const lines: string[] = [];
    const call = { flags: flagsOf(["--url", url.href, "--timeoutSeconds=0"]), env: new Map(), program: "pilotfish" };
    const ended = run({ ...call, out: () => undefined, err: (text) => lines.push(text) });
    await expect(ended).rejects.toThrow(Refused);
    await expect(ended).rejects.toThrow(/not ready within 0 s: 503 draining$/);
    expect(lines).toEqual([`pilotfish: waiting for ${url.href}: 503 draining\n`]);
  });
});

describe("flags", () => {
  test("defaults are the peer's", () => {
    const { url, limits } = readWait({ flags: flagsOf([]), env: new Map() });
    expect(url.href).toBe("http://localhost:15021/healthz/ready");
    expect(limits).toEqual({ total: 60_000, request: 500, period: 500 });
  });

  test("the port that the environment moved", () => {
    const env = new Map([["ENVOY_STATUS_PORT", "9921"]]);
    expect(readWait({ flags: flagsOf([]), env }).url.port).toBe("9921");
    expect(readWait({ flags: flagsOf(["--url=http://localhost:1/"]), env }).url.port).toBe("1");
  });

  test("all that is wrong at once", () => {
    const words = [
      "--url=https://x/",
      "--timeoutSeconds=-1",
      "--requestTimeoutMillis=x",
      "--periodMillis=0",
      "word",
      "--",
    ];
    try {
      readWait({ flags: flagsOf(words), env: new Map() });
      expect.unreachable();
    } catch (error) {
      expect(error).toBeInstanceOf(InvalidConfig);
      const names = error instanceof InvalidConfig ? error.problems.map((one) => one.name) : [];
      expect(names).toEqual(["--timeoutSeconds", "--requestTimeoutMillis", "--periodMillis", "--url", "word", "--"]);
    }
  });
});
