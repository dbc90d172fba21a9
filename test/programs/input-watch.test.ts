import { mkdirSync, renameSync, rmSync, symlinkSync, unlinkSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { watchStage } from "../../src/agent/watch-stage.ts";
import { noLog } from "../../src/foundation/log.ts";
import type { RestartAsk, RestartOutcome } from "../../src/process/launch.ts";
import { agentConfig } from "../fakes/agent-config.ts";
import { FakeClock } from "../fakes/fake-clock.ts";
import { eventually } from "../helpers/eventually.ts";
import { temporaryFolder } from "../helpers/paths.ts";

/** Real files under a real watch: which ways of changing them ask for a new Envoy. */
const ends: (() => void)[] = [];
afterAll(() => {
  for (const end of ends.splice(0).reverse()) end();
});

function bench(how: { readonly outcomes?: RestartOutcome[]; readonly prepare?: (folder: string) => void } = {}) {
  const clock = new FakeClock();
  const folder = temporaryFolder("input-watch");
  const at = (name: string): string => join(folder.path, name);
  writeFileSync(at("override.yaml"), "node: {id: a}\n");
  writeFileSync(at("mesh"), "{}\n");
  writeFileSync(at("envoy"), "one");
  how.prepare?.(folder.path);
  const config = agentConfig({
    args: ["--watch", "bootstrap,binary"],
    env: { ISTIO_BOOTSTRAP_OVERRIDE: at("override.yaml"), PILOTFISH_ENVOY: at("envoy") },
  });
  const asks: RestartAsk[] = [];
  const stage = watchStage({
    clock,
    log: noLog,
    config: () => config,
    files: [at("mesh"), at("pod/annotations")],
    envoy: {
      restart: (ask) => {
        asks.push(ask);
        return Promise.resolve(how.outcomes?.shift() ?? { is: "unchanged" });
      },
    },
    onBug: (error) => {
      throw error;
    },
  });
  if (stage === undefined) throw new Error("there is nothing to watch");
  void stage.start();
  ends.push(
    () => folder.done(),
    () => void stage.stop(),
  );
  // The look at the start is over, and only the slow poll is armed: from here on events have to tell.
  clock.advance(1_000);
  const armed = clock.pending();
  const heard = async (): Promise<void> => {
    await eventually("an event was heard", () => clock.pending() > armed);
    clock.advance(2_000);
  };
  return { at, asks, stage, clock, heard, causes: () => asks.map((ask) => ask.cause) };
}

const bootstrap = ["changed: bootstrap"];

describe.concurrent("a change of a real file", () => {
  test.each([
    ["written in place", (at: (name: string) => string) => writeFileSync(at("mesh"), '{"a": 1}\n')],
    [
      "renamed over",
      (at: (name: string) => string) => {
        writeFileSync(at("mesh.new"), '{"a": 1}\n');
        renameSync(at("mesh.new"), at("mesh"));
      },
    ],
    [
      "deleted and written",
      (at: (name: string) => string) => {
        unlinkSync(at("override.yaml"));
        writeFileSync(at("override.yaml"), "node: {id: b}\n");
      },
    ],
  ])("%s", async (_title, change) => {
    const { at, causes, asks, heard } = bench();
    change(at);
    await heard();
    expect(causes()).toEqual(bootstrap);
    expect(asks[0]).toMatchObject({ strategy: "auto", explicit: false, ignoreMemory: false });
  });

  test("a mounted ConfigMap turns: the file is a link through a folder that is replaced", async () => {
    const { at, causes, heard } = bench({
      prepare: (folder) => {
        mkdirSync(join(folder, "..1"));
        writeFileSync(join(folder, "..1/mesh"), "{}\n");
        symlinkSync("..1", join(folder, "..data"));
        rmSync(join(folder, "mesh"));
        symlinkSync("..data/mesh", join(folder, "mesh"));
      },
    });
    mkdirSync(at("..2"));
    writeFileSync(at("..2/mesh"), '{"a": 2}\n');
    symlinkSync("..2", at("..new"));
    renameSync(at("..new"), at("..data"));
    rmSync(at("..1"), { recursive: true });
    await heard();
    expect(causes()).toEqual(bootstrap);
  });

  test("a binary that a link in another folder leads to", async () => {
    const { at, causes, heard } = bench({
      prepare: (folder) => {
        mkdirSync(join(folder, "1.40"));
        writeFileSync(join(folder, "1.40/envoy"), "one");
        rmSync(join(folder, "envoy"));
        symlinkSync("1.40/envoy", join(folder, "envoy"));
      },
    });
    writeFileSync(at("1.40/new"), "two");
    renameSync(at("1.40/new"), at("1.40/envoy"));
    await heard();
    expect(causes()).toEqual(["changed: binary"]);
  });

  test("a touched text is no change, a touched binary is one to look into", async () => {
    const { at, causes, heard } = bench();
    const then = new Date(1_700_000_000_000);
    utimesSync(at("mesh"), then, then);
    utimesSync(at("envoy"), then, then);
    await heard();
    expect(causes()).toEqual(["changed: binary"]);
  });

  test("a folder that comes later, with the poll", async () => {
    const { at, causes, stage, clock } = bench();
    mkdirSync(at("pod"));
    writeFileSync(at("pod/annotations"), 'a="b"\n');
    clock.advance(13_000);
    expect(causes()).toEqual(bootstrap);
    void stage.stop();
    expect(clock.pending()).toBe(0);
  });
});

test("a refusal is asked again, later and later, until something else becomes of it", async () => {
  const refused: RestartOutcome = { is: "refused", why: "no room" };
  const { at, asks, stage, clock } = bench({ outcomes: [refused, refused, refused, { is: "unchanged" }] });
  writeFileSync(at("mesh"), '{"a": 1}\n');
  const times: number[] = [];
  for (let second = 1; second <= 3_000; second++) {
    clock.advance(1_000);
    await Promise.resolve().then(() => undefined);
    await new Promise((resolve) => setImmediate(resolve));
    if (asks.length > times.length) times.push(second);
  }
  expect(asks).toHaveLength(4);
  expect(times.slice(1).map((time, index) => time - (times[index] ?? 0))).toEqual([30, 60, 120]);
  void stage.stop();
  expect(clock.pending()).toBe(0);
});
