import { describe, expect, test } from "vitest";
import { agentConfig, type ConfigCase } from "../fakes/agent-config.ts";

const of = (given: ConfigCase) => agentConfig(given).hotRestart;

describe("when and how Envoy is replaced", () => {
  test("defaults", () => {
    expect(of({})).toEqual({ watch: [], baseId: undefined, probation: 10_000, ignoreMemory: false });
  });

  test.each([
    ["one", ["--watch", "binary"], {}, ["binary"]],
    ["both, in any order", ["--watch", " binary, bootstrap"], {}, ["bootstrap", "binary"]],
    ["the environment", [], { PILOTFISH_WATCH: "bootstrap" }, ["bootstrap"]],
    ["the flag beats it", ["--watch", "binary"], { PILOTFISH_WATCH: "bootstrap" }, ["binary"]],
    ["the flag can turn it off", ["--watch", "none"], { PILOTFISH_WATCH: "bootstrap" }, []],
    ["none", [], { PILOTFISH_WATCH: "none" }, []],
    ["an empty list", ["--watch", ","], {}, []],
  ])("--watch: %s", (_title, args, env: Record<string, string>, watch) => {
    expect(of({ args, env })?.watch).toEqual(watch);
  });

  test("numbers and times: flag, then environment", () => {
    const env = { PILOTFISH_BASE_ID: "7", PILOTFISH_PROBATION: "2s", PILOTFISH_IGNORE_MEMORY: "true" };
    expect(of({ env })).toEqual({ watch: [], baseId: 7, probation: 2_000, ignoreMemory: true });
    const args = ["--base-id", "429496729", "--probation", "0"];
    expect(of({ env, args })).toMatchObject({ baseId: 429_496_729, probation: 0 });
    expect(of({ args: ["--base-id", "0"] })?.baseId).toBe(0);
  });

  test.each([
    [["--watch", "certs"], {}, '--watch: "certs" can\'t be used; use bootstrap, binary'],
    [["--watch", "none,binary"], {}, '--watch: "none,binary" can\'t be used'],
    [[], { PILOTFISH_WATCH: "x,binary,y" }, 'PILOTFISH_WATCH: "x,binary,y" can\'t be used'],
    [["--base-id", "429496730"], {}, '--base-id: "429496730" can\'t be used'],
    [["--base-id", "-1"], {}, '--base-id: "-1" can\'t be used'],
    [[], { PILOTFISH_BASE_ID: "429496730" }, 'PILOTFISH_BASE_ID: "429496730" can\'t be used'],
    [[], { PILOTFISH_BASE_ID: "one" }, 'PILOTFISH_BASE_ID: "one" can\'t be used'],
    [["--probation", "soon"], {}, '--probation: "soon" can\'t be used'],
    [[], { PILOTFISH_PROBATION: "-1s" }, 'PILOTFISH_PROBATION: "-1s" can\'t be used'],
    [[], { PILOTFISH_IGNORE_MEMORY: "maybe" }, 'PILOTFISH_IGNORE_MEMORY: "maybe" can\'t be used'],
  ])("%j %j is one problem", (args, env: Record<string, string>, problem) => {
    let said = "";
    try {
      of({ args, env });
    } catch (error) {
      said = (error as Error).message;
    }
    expect(said.split("\n  ")).toHaveLength(2);
    expect(said).toContain(problem);
  });
});
