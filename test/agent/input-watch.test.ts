import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { InputWatch, type WatchedInputs } from "../../src/agent/input-watch.ts";
import { watchStage } from "../../src/agent/watch-stage.ts";
import type { AgentConfig } from "../../src/config/agent-config.ts";
import { noLog } from "../../src/foundation/log.ts";
import type { RestartAsk, RestartOutcome } from "../../src/process/launch.ts";
import { agentConfig } from "../fakes/agent-config.ts";
import { FakeClock } from "../fakes/fake-clock.ts";

/** Files as marks, time as numbers: what counts as a change, and when it is told. */
let clock: FakeClock;
let files: Map<string, string>;
let inputs: WatchedInputs;
let told: string[];
let followed: readonly string[];
let watch: InputWatch;

beforeEach(() => {
  clock = new FakeClock();
  files = new Map([
    ["mesh", "m1"],
    ["custom", "c1"],
    ["envoy", "e1"],
  ]);
  inputs = { bootstrap: ["mesh", "custom"], binary: "envoy" };
  told = [];
  watch = new InputWatch({
    clock,
    inputs: () => inputs,
    markOf: (path) => files.get(path),
    folders: {
      follow: (paths) => {
        followed = paths;
      },
      close: () => undefined,
    },
    onChange: (what) => told.push(what),
    onBug: (error) => {
      throw error;
    },
  });
  watch.start();
  clock.advance(1_000);
});
afterEach(() => {
  watch.close();
  expect(clock.pending()).toBe(0);
});

/** Something happened in a folder, and `by` ms pass. */
function passes(by: number): void {
  watch.lookSoon();
  clock.advance(by);
}

describe("a change", () => {
  test("counts when it is still the same a moment later, and once", () => {
    files.set("custom", "c2");
    passes(1_000);
    expect(told).toEqual([]);
    clock.advance(1_000);
    expect(told).toEqual(["bootstrap"]);
    passes(60_000);
    expect(told).toEqual(["bootstrap"]);
  });

  test("events without another content are none, and arm nothing for long", () => {
    passes(1_000);
    expect(told).toEqual([]);
    expect(clock.pending()).toBe(0);
  });

  test("many events are one look, and the look comes although they never end", () => {
    files.set("custom", "c2");
    for (let i = 0; i < 25; i++) passes(100);
    expect(told).toEqual(["bootstrap"]);
  });

  test("a file that is still being written counts when it stands still", () => {
    for (const content of ["c2", "c3", "c4"]) {
      files.set("custom", content);
      passes(1_000);
    }
    expect(told).toEqual([]);
    clock.advance(1_000);
    expect(told).toEqual(["bootstrap"]);
  });

  test("there and back is none", () => {
    files.set("custom", "c2");
    passes(1_000);
    files.set("custom", "c1");
    passes(5_000);
    expect(told).toEqual([]);
  });

  test("of both kinds is told for each", () => {
    files.set("mesh", "m2").set("envoy", "e2");
    passes(2_000);
    expect(told).toEqual(["bootstrap", "binary"]);
  });

  test("between the first look and the start of the watch is not lost", () => {
    const late = new InputWatch({
      clock,
      inputs: () => inputs,
      markOf: (path) => files.get(path),
      folders: { follow: () => undefined, close: () => undefined },
      onChange: (what) => told.push(`late ${what}`),
      onBug: () => undefined,
    });
    files.set("mesh", "m2");
    late.start();
    clock.advance(2_000);
    expect(told).toEqual(["late bootstrap"]);
    late.close();
  });
});

describe("a file that is away", () => {
  test("deleted and written again the same is no change", () => {
    files.delete("custom");
    passes(3_000);
    files.set("custom", "c1");
    passes(3_000);
    expect(told).toEqual([]);
  });

  test("deleted and written anew is one change", () => {
    files.delete("custom");
    passes(3_000);
    files.set("custom", "c2");
    passes(3_000);
    expect(told).toEqual(["bootstrap"]);
  });

  test("gone for good counts, later than another content would", () => {
    files.delete("mesh");
    passes(10_000);
    expect(told).toEqual([]);
    clock.advance(1_000);
    expect(told).toEqual(["bootstrap"]);
  });

  test("one that was never there and comes is a change", () => {
    inputs = { ...inputs, bootstrap: ["mesh", "custom", "override"] };
    passes(1_000);
    files.set("override", "o1");
    passes(2_000);
    expect(told).toEqual(["bootstrap"]);
  });

  test("a binary never counts as gone; another one in its place does", () => {
    files.delete("envoy");
    passes(60_000);
    expect(told).toEqual([]);
    expect(clock.pending()).toBe(0);
    files.set("envoy", "e2");
    passes(2_000);
    expect(told).toEqual(["binary"]);
  });
});

test("inputs that are named only now are followed, and are no change by themselves", () => {
  files.set("template", "t1");
  inputs = { bootstrap: ["mesh", "template"], binary: "envoy" };
  passes(5_000);
  expect(followed).toEqual(["mesh", "template", "envoy"]);
  expect(told).toEqual([]);
  files.set("template", "t2").set("custom", "c9");
  passes(2_000);
  expect(told).toEqual(["bootstrap"]);
});

test("closed, it hears and arms nothing", () => {
  watch.close();
  files.set("mesh", "m2");
  passes(5_000);
  expect(told).toEqual([]);
});

describe("what a change leads to", () => {
  const stageOf = (config: AgentConfig, restart: (ask: RestartAsk) => Promise<RestartOutcome>) =>
    watchStage({ clock, log: noLog, config: () => config, files: [], envoy: { restart }, onBug: () => undefined });

  test("nothing to watch is no stage at all", () => {
    expect(stageOf(agentConfig(), () => Promise.resolve({ is: "unchanged" }))).toBeUndefined();
    expect(
      stageOf(agentConfig({ args: ["--watch", "bootstrap"] }), () => Promise.resolve({ is: "unchanged" })),
    ).toMatchObject({ name: "watch" });
  });
});
