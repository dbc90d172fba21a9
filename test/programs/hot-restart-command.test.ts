import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Call } from "../../src/cli/command.ts";
import { hotRestartCommand } from "../../src/cli/commands/hot-restart.ts";
import { parseArguments } from "../../src/cli/parse-arguments.ts";
import { readHotRestart, run } from "../../src/cli/run-hot-restart.ts";
import { InvalidConfig, Refused, Unavailable } from "../../src/foundation/errors.ts";
import type { RestartReport, Wish } from "../../src/status/control-routes.ts";
import { eventually } from "../helpers/eventually.ts";
import { freePorts } from "../helpers/free-ports.ts";
import { temporaryFolder } from "../helpers/paths.ts";
import { ask } from "../helpers/proxy.ts";
import { type Fixture, startStatus } from "../status/status-fixture.ts";

/** The command and the route, over real sockets; the agent behind them settles when the test says so. */
let folder: ReturnType<typeof temporaryFolder>;
let status: Fixture;
let socketPath: string;
let settle: (report: RestartReport) => void;
let wishes: Wish[];

beforeEach(async () => {
  folder = temporaryFolder("hot-restart-command");
  socketPath = join(folder.path, "pilotfish.sock");
  wishes = [];
  const answer = (wish: Wish) => {
    const settled = Promise.withResolvers<RestartReport>();
    settle = settled.resolve;
    wishes.push(wish);
    return { settled: settled.promise };
  };
  status = await startStatus({ ask: answer }, socketPath);
});
afterEach(async () => {
  await status.server.close();
  expect(status.bugs).toEqual([]);
  folder.done();
});

const asked = (count = 1) => eventually("the wish arrived", () => wishes.length === count);

function command(words: readonly string[]): { readonly call: Call; readonly said: () => string } {
  let said = "";
  const { flags } = parseArguments(words, hotRestartCommand.options);
  const out = (text: string): void => {
    said += text;
  };
  return { call: { flags, env: new Map(), program: "pilotfish", out, err: () => undefined }, said: () => said };
}

const done: RestartReport = { is: "restarted", by: "hot-restart", epoch: 3, took: 412.4 };
const post = (query = "", options: Parameters<typeof ask>[2] = {}) =>
  ask({ port: status.port }, `/hot-restart${query}`, { method: "POST", ...options });

describe("POST /hot-restart", () => {
  test("is taken at once, before anybody knows how it ends", async () => {
    expect(await post()).toMatchObject({ status: 202, body: "accepted\n" });
    expect(wishes).toEqual([{ ask: "hot-restart", strategy: "auto", ignoreMemory: false, from: "127.0.0.1" }]);
    settle(done);
  });

  test("a refusal that is known at once is the answer", async () => {
    const answering = post("?strategy=swap&ignore-memory");
    await asked();
    settle({ is: "refused", why: "Envoy is turned off" });
    expect(await answering).toMatchObject({ status: 409, body: "refused: Envoy is turned off\n" });
    expect(wishes).toMatchObject([{ strategy: "swap", ignoreMemory: true }]);
  });

  test.each([
    ["restarted", done, 200, { outcome: "restarted", by: "hot-restart", epoch: 3, seconds: 0.4124 }],
    ["unchanged", { is: "unchanged" } as const, 200, { outcome: "unchanged" }],
    ["refused", { is: "refused", why: "no room" } as const, 409, { outcome: "refused", why: "no room" }],
    ["overtaken", { is: "overtaken", why: "SIGTERM" } as const, 409, { outcome: "overtaken", why: "SIGTERM" }],
    ["failed", { is: "failed", why: "never LIVE" } as const, 500, { outcome: "failed", why: "never LIVE" }],
  ])("?wait tells the outcome: %s", async (_title, report, code, body) => {
    const answering = post("?wait");
    await asked();
    settle(report);
    const answer = await answering;
    expect(answer.status).toBe(code);
    expect(answer.headers["content-type"]).toBe("application/json");
    expect(JSON.parse(answer.body)).toEqual(body);
  });

  test("who waits and hangs up leaves nothing behind, and the restart goes on", async () => {
    await expect(post("?wait", { timeout: 200 })).rejects.toThrow("no answer in time");
    expect(wishes).toHaveLength(1);
    // Sixteen may wait at once: those who have gone do not count.
    for (let i = 0; i < 20; i++) await expect(post("?wait", { timeout: 20 })).rejects.toThrow();
    await eventually("there is room again", async () => (await post()).status === 202);
  });

  test("what can't be used is said, and nothing is asked for", async () => {
    expect(await post("?strategy=fast")).toMatchObject({
      status: 400,
      body: 'strategy "fast" can\'t be used; use auto or swap\n',
    });
    expect((await post("?ignore-memory=2")).status).toBe(400);
    expect(wishes).toEqual([]);
  });
});

describe("the command", () => {
  test("without --wait: taken", async () => {
    const { call, said } = command(["--socket", socketPath]);
    expect(await run(call)).toBe(0);
    expect(said()).toBe("accepted\n");
    expect(wishes[0]?.from).toMatch(/^process \d+ of uid \d+$/);
  });

  test.each([
    ["hot restart", done, "hot restart done: epoch 3 serves, took 0.41 s\n"],
    ["swap", { ...done, by: "swap" } as const, "swap done: epoch 3 serves, took 0.41 s\n"],
    ["unchanged", { is: "unchanged" } as const, "unchanged: Envoy would be started with the same\n"],
  ])("--wait: one line for people: %s", async (_title, report, line) => {
    const { call, said } = command(["--wait", "--socket", socketPath]);
    const code = run(call);
    await asked();
    settle(report);
    expect(await code).toBe(0);
    expect(said()).toBe(line);
  });

  test.each([
    [{ is: "refused", why: "no room" } as const, "cannot replace Envoy: refused: no room"],
    [{ is: "failed", why: "never LIVE" } as const, "cannot replace Envoy: failed: never LIVE"],
  ])("--wait: %j is exit 1 with the reason; --json prints it", async (report, message) => {
    const code = run(command(["--wait", "--socket", socketPath]).call);
    await asked();
    settle(report);
    await expect(code).rejects.toThrow(new Refused(message));
    const { call, said } = command(["--wait", "--json", "--socket", socketPath]);
    const second = run(call);
    await asked(2);
    settle(report);
    expect(await second).toBe(1);
    expect(JSON.parse(said())).toEqual({ outcome: report.is, why: report.why });
  });

  test("--wait ends by its own time-out or with the proxy; the restart is not called off", async () => {
    const { call } = command(["--wait", "--timeout", "100ms", "--socket", socketPath]);
    await expect(run(call)).rejects.toThrow(/no answer within 100 ms; it may go on, "pilotfish status" shows it/);
    const waiting = run(command(["--wait", "--socket", socketPath]).call);
    await asked(2);
    const [end] = await Promise.allSettled([waiting, status.server.close()]);
    expect(end).toMatchObject({ status: "rejected", reason: expect.any(Refused) as Refused });
  });

  test("nobody there, and flags that can't be used", async () => {
    const [nobody = 0] = await freePorts(1);
    await expect(run(command([`--statusPort=${nobody}`]).call)).rejects.toThrow(Unavailable);
    await expect(run(command(["--socket", join(folder.path, "none")]).call)).rejects.toThrow(Unavailable);
    const wrong = (words: readonly string[]) => () => readHotRestart(command(words).call);
    expect(wrong(["now", "--strategy=fast", "--json", "--timeout=0"])).toThrow(InvalidConfig);
    expect(wrong(["now", "--strategy=fast", "--json", "--timeout=0"])).toThrow(
      /now: .*\n.*--json.*\n.*--strategy.*\n.*--timeout/,
    );
  });

  test("what is asked for", () => {
    const path = (words: readonly string[]) => readHotRestart(command(words).call).path;
    expect(path([])).toBe("/hot-restart?strategy=auto");
    expect(path(["--wait", "--strategy", "swap", "--ignore-memory"])).toBe(
      "/hot-restart?wait&strategy=swap&ignore-memory",
    );
    expect(readHotRestart(command(["--wait", "--timeout", "9000h"]).call).timeout).toBe(2 ** 31 - 1);
  });
});
