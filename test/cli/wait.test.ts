import { describe, expect, test } from "vitest";
import { waitCommand } from "../../src/cli/commands/wait.ts";
import { parseArguments } from "../../src/cli/parse-arguments.ts";
import { askToQuit, placesOf } from "../../src/cli/wait/quit-sidecar.ts";
import { readWait } from "../../src/cli/wait/read-wait.ts";
import { type Answer, pauseAfter, type WaitLimits, waitUntil } from "../../src/cli/wait-loop.ts";
import { InvalidConfig } from "../../src/foundation/errors.ts";
import { FakeClock } from "../fakes/fake-clock.ts";

const flagsOf = (words: readonly string[]) => parseArguments(words, waitCommand.options).flags;
const plan = (words: readonly string[], env = new Map<string, string>()) => readWait({ flags: flagsOf(words), env });
/** Lets promises settle. */
const settle = async (): Promise<void> => {
  for (let turn = 0; turn < 20; turn++) await Promise.resolve();
};

/** Lets time go by until the work is done; nothing is armed after it. */
async function play<T>(clock: FakeClock, work: Promise<T>, step = 100): Promise<T> {
  let over = false;
  const done = work.finally(() => {
    over = true;
  });
  await settle();
  while (!over && clock.pending() > 0) {
    clock.advance(step);
    await settle();
  }
  const value = await done;
  expect(clock.pending()).toBe(0);
  return value;
}

describe("the loop", () => {
  /** Runs the loop against answers by time; every answer takes no time. */
  async function loop(answerAt: (now: number) => Answer, limits: Partial<WaitLimits>) {
    const clock = new FakeClock();
    const asked: number[] = [];
    const granted: number[] = [];
    const told: string[] = [];
    const ask = (limit: number) => {
      asked.push(clock.monotonic());
      granted.push(limit);
      return Promise.resolve(answerAt(clock.monotonic()));
    };
    const all = { total: 60_000, request: 500, period: 500, ...limits };
    const result = await play(
      clock,
      waitUntil(clock, all, ask, (because, now) => told.push(`${now} ${because}`)),
    );
    return { result, told, asked, granted };
  }
  const no = (because: string): Answer => ({ ready: false, because });

  test("ready at once says nothing", async () => {
    expect(await loop(() => ({ ready: true }), {})).toMatchObject({ result: { ready: true }, told: [], asked: [0] });
  });

  test("every no is told, and it ends with the first yes", async () => {
    const seen = await loop((now) => (now < 1_000 ? no("a") : { ready: true }), {});
    expect(seen).toMatchObject({ result: { ready: true }, told: ["0 a", "500 a"], asked: [0, 500, 1_000] });
  });

  test("over is over: the last reason is the result, and no question begins after the end", async () => {
    const seen = await loop((now) => no(`at ${now}`), { total: 2_000 });
    expect(seen.result).toEqual({ ready: false, because: "at 1500" });
    expect(seen.granted).toEqual([500, 500, 500, 500]);
  });

  test("a time of 0 asks once", async () => {
    expect((await loop(() => no("no"), { total: 0 })).granted).toEqual([500]);
  });

  test("pauses grow by half, and the last question comes when the time is just over", async () => {
    const growth = { longest: 2_000, chance: () => 0.5 };
    const seen = await loop(() => no("no"), { total: 10_000, period: 400, growth });
    expect(seen.asked).toEqual([0, 400, 1_000, 1_900, 3_300, 5_300, 7_300, 9_300, 10_000]);
    expect(seen.granted.at(-1)).toBe(500);
  });

  test.each([
    [1, 0, 400],
    [1, 1, 600],
    [4, 0.5, 1_687.5],
    [50, 0.5, 5_000],
    [50, 1, 6_000],
  ])("the pause after question %i with chance %d is %d ms", (asked, drawn, expected) => {
    const growth = { longest: 5_000, chance: () => drawn };
    expect(pauseAfter({ total: 0, request: 0, period: 500, growth }, asked)).toBeCloseTo(expected);
  });
});

describe("flags", () => {
  test("defaults are the peer's", () => {
    expect(plan([])).toMatchObject({ total: 60_000, request: 500, period: 500, longest: undefined, quit: undefined });
    expect(plan([]).targets.map((one) => one.name)).toEqual(["http://localhost:15021/healthz/ready"]);
  });

  test("the port that the environment moved", () => {
    const env = new Map([["ENVOY_STATUS_PORT", "9921"]]);
    expect(plan([], env).targets).toMatchObject([{ name: "http://localhost:9921/healthz/ready" }]);
    expect(plan(["--for=proxy"], env).targets).toMatchObject([{ name: "http://localhost:9921/healthz/ready" }]);
    expect(plan(["--url=http://localhost:1/"], env).targets).toMatchObject([{ name: "http://localhost:1/" }]);
  });

  test("--for has more patience with one answer, and pauses that grow", () => {
    expect(plan(["--for", "dns:db"])).toMatchObject({ request: 2_000, period: 500, longest: 5_000 });
    const words = ["--for=dns:db", "--requestTimeoutMillis=70", "--periodMillis=80", "--maxPeriodMillis=90"];
    expect(plan(words)).toMatchObject({ request: 70, period: 80, longest: 90 });
  });

  test("targets of every kind, each once, --url in front", () => {
    const words = [
      "--for=tcp://db:5432",
      "--for=tcp://[::1]:1",
      "--for=tcp://db:5432",
      "--for=https://x/a?b",
      "--for=grpc://s:50051",
      "--for=grpc://s:50051/a.B",
      "--for=dns:redis-svc",
      "--for=file:/run/ready",
      "--for=file:///run/ready2",
      "--for=file:./ready",
      "--url=http://localhost:1/",
    ];
    expect(plan(words).targets).toMatchObject([
      { kind: "url", url: new URL("http://localhost:1/") },
      { kind: "tcp", host: "db", port: 5_432 },
      { kind: "tcp", host: "::1", port: 1 },
      { kind: "url", url: new URL("https://x/a?b") },
      { kind: "grpc", host: "s", port: 50_051, service: "" },
      { kind: "grpc", host: "s", port: 50_051, service: "a.B" },
      { kind: "dns", host: "redis-svc" },
      { kind: "file", path: "/run/ready" },
      { kind: "file", path: "/run/ready2" },
      { kind: "file", path: "./ready" },
    ]);
  });

  test.each([
    ["db:5432", '"db:5432" can\'t be waited for; write tcp://db:5432'],
    ["db", '"db" can\'t be waited for; use tcp://HOST:PORT, '],
    ["udp://db:1", '"udp://db:1" can\'t be waited for; use tcp://HOST:PORT, '],
    ["tcp://db", '"tcp://db" has no port; write tcp://HOST:PORT'],
    ["tcp://db:99999", '"tcp://db:99999" has no port'],
    ["grpc://db", '"grpc://db" has no port; write grpc://HOST:PORT[/SERVICE]'],
    ["dns:", '"dns:" names no host'],
    ["dns:a b", '"dns:a b" names no host'],
    ["file:", '"file:" names no file'],
    ["http://", '"http://" can\'t be asked'],
    ["http://me:secret@db/", "the URL of db has a user name"],
  ])("--for=%s is refused with a way out", (text, expected) => {
    const problem = problemsOf(["--for", text])[0];
    expect(problem?.name).toBe("--for");
    expect(problem?.text).toContain(expected);
    expect(problem?.text).not.toContain("secret");
  });

  test("a command, and the sidecar that ends after it", () => {
    expect(plan(["--", "app", "--for", "$(X)"])).toMatchObject({ command: ["app", "--for", "$(X)"], quit: undefined });
    expect(plan(["--then-quit", "--", "app"]).quit).toEqual({ socket: undefined, statusPort: 15_020 });
    const words = ["--then-quit", "--socket=./s", "--statusPort=1", "--", "app"];
    expect(plan(words).quit).toEqual({ socket: "./s", statusPort: 1 });
  });

  test("all that is wrong at once", () => {
    const words = ["--url=x:y", "--timeoutSeconds=-1", "--requestTimeoutMillis=x", "--periodMillis=0"];
    const names = problemsOf([...words, "--socket=./x", "--for=x", "word", "--"]).map((one) => one.name);
    expect(names).toEqual([
      "--timeoutSeconds",
      "--requestTimeoutMillis",
      "--periodMillis",
      "--for",
      "--url",
      "word",
      "--",
      "--socket",
    ]);
    expect(problemsOf(["--then-quit"]).map((one) => one.name)).toEqual(["--then-quit"]);
  });

  function problemsOf(words: readonly string[]) {
    try {
      plan(words);
    } catch (error) {
      if (error instanceof InvalidConfig) return error.problems;
    }
    throw new Error("it was taken");
  }
});

describe("the sidecar's end", () => {
  const loopback = [
    { host: "127.0.0.1", port: 15_020 },
    { host: "::1", port: 15_020 },
  ];

  test("a socket that is given or there comes before loopback", () => {
    const usual = { socketPath: "./etc/istio/proxy/pilotfish.sock" };
    expect(placesOf({ socket: undefined, statusPort: 15_020 }, () => false)).toEqual(loopback);
    expect(placesOf({ socket: undefined, statusPort: 15_020 }, () => true)).toEqual([usual, ...loopback]);
    expect(placesOf({ socket: "/s", statusPort: 15_020 }, () => false)).toEqual([{ socketPath: "/s" }, ...loopback]);
  });

  test("the first place that says yes is enough", async () => {
    const asked: unknown[] = [];
    const post = (place: object) => {
      asked.push(place);
      return Promise.resolve(asked.length === 2 ? undefined : "refused");
    };
    expect(await askToQuit(new FakeClock(), loopback, post)).toBeUndefined();
    expect(asked).toEqual(loopback);
  });

  test("a sidecar that restarts is asked again; after 1.5 s each place's last reason is told", async () => {
    const clock = new FakeClock();
    let asked = 0;
    const post = () => Promise.resolve(`no ${++asked}`);
    const because = await play(clock, askToQuit(clock, loopback, post));
    expect(because).toBe("127.0.0.1:15020: no 7, [::1]:15020: no 8");
    expect(clock.monotonic()).toBe(1_500);
  });
});
