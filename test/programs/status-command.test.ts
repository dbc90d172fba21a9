import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Call } from "../../src/cli/command.ts";
import { statusCommand } from "../../src/cli/commands/status.ts";
import { parseArguments } from "../../src/cli/parse-arguments.ts";
import { readStatus, run } from "../../src/cli/run-status.ts";
import { InvalidConfig, Refused, Unavailable } from "../../src/foundation/errors.ts";
import { eventually } from "../helpers/eventually.ts";
import { freePorts } from "../helpers/free-ports.ts";
import { temporaryFolder } from "../helpers/paths.ts";
import { type Fixture, startStatus } from "../status/status-fixture.ts";

const folder = temporaryFolder("status-command");
const socket = join(folder.path, "pilotfish.sock");
let status: Fixture;

beforeAll(async () => {
  const section = {
    key: "envoy",
    title: "Envoy",
    facts: [{ key: "state", label: "state", value: "live", mood: "good" as const }],
  };
  status = await startStatus({ page: { title: "pilotfish", sections: () => [section] } }, socket);
});
afterAll(async () => {
  await status.server.close();
  folder.done();
});

function callOf(
  words: readonly string[],
  env: Readonly<Record<string, string>> = {},
): { readonly call: Call; readonly said: string[] } {
  const said: string[] = [];
  const flags = parseArguments(words, statusCommand.options).flags;
  const call = {
    flags,
    env: new Map(Object.entries(env)),
    program: "pilotfish",
    out: (text: string) => void said.push(text),
    err: () => undefined,
  };
  return { call, said };
}

test("the page, through the socket and over loopback, plain when nobody looks at a terminal", async () => {
  for (const words of [["--socket", socket], [`--statusPort=${status.port}`]]) {
    const { call, said } = callOf(words);
    expect(await run(call, false)).toBe(0);
    expect(said.join("")).toMatch(/^Readiness\n\+ ready {2}yes\n(.*\n)*\nEnvoy\n\+ state {2}live\n$/);
  }
});

test("colours on a terminal, unless NO_COLOR; JSON for programs", async () => {
  expect(readStatus(callOf([]).call, true).path).toBe("/status?format=text&colour");
  expect(readStatus(callOf([], { NO_COLOR: "1" }).call, true).path).toBe("/status?format=text");
  const { call, said } = callOf(["--json", "--socket", socket]);
  await run(call, true);
  expect(JSON.parse(said.join(""))).toMatchObject({ readiness: { ready: true }, envoy: { state: "live" } });
});

test("the usual places, in order", () => {
  expect(readStatus(callOf([]).call, false).to).toEqual([
    { socketPath: "./etc/istio/proxy/pilotfish.sock" },
    { host: "127.0.0.1", port: 15_020 },
    { host: "::1", port: 15_020 },
  ]);
});

test("--watch shows it again and again, also while nobody is there", async () => {
  const stop = new AbortController();
  const [nobody = 0] = await freePorts(1);
  const watching = callOf(["--watch", "--interval", "100ms", "--socket", socket]);
  const waiting = callOf(["--watch", "--interval=100ms", `--statusPort=${nobody}`]);
  const both = Promise.all([run(watching.call, true, stop.signal), run(waiting.call, false, stop.signal)]);
  await eventually("three pages of each", () => watching.said.length >= 3 && waiting.said.length >= 3);
  stop.abort();
  expect(await both).toEqual([0, 0]);
  expect(watching.said[0]?.startsWith("\u001b[H\u001b[2J")).toBe(true);
  expect(waiting.said[0]).toMatch(
    /^cannot show the status: nobody listens at 127\.0\.0\.1:\d+, ::1:\d+; is the proxy running here\?\n$/,
  );
});

test("nobody there, refused, bad flags", async () => {
  const [nobody = 0] = await freePorts(1);
  await expect(run(callOf([`--statusPort=${nobody}`]).call, false)).rejects.toThrow(Unavailable);
  await expect(run(callOf(["--socket", join(folder.path, "none")]).call, false)).rejects.toThrow(Unavailable);
  const closed = await startStatus({ configured: { loopbackControl: false } });
  await expect(run(callOf([`--statusPort=${closed.port}`]).call, false)).rejects.toThrow(Refused);
  await closed.server.close();
  const wrong = () => readStatus(callOf(["word", "--statusPort=0", "--interval=5ms"]).call, false);
  expect(wrong).toThrow(InvalidConfig);
  expect(wrong).toThrow(/--statusPort: (.|\n)*word: status takes no words/);
  expect(() => readStatus(callOf(["--statusPort=1", "--socket=x"]).call, false)).toThrow(/not both/);
});
