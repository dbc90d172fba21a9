import { beforeEach, describe, expect, test } from "vitest";
import { readinessContributors } from "../../src/agent/contributors.ts";
import type { EnvoyAdmin } from "../../src/process/envoy-admin.ts";
import type { EnvoySnapshot } from "../../src/process/envoy-snapshot.ts";
import type { Standing } from "../../src/status/readiness.ts";
import { FakeClock } from "../fakes/fake-clock.ts";

/* What the admin is asked for the "epoch" of readiness, how often, and what its answers come to. */

let snapshot: EnvoySnapshot;
/** What the admin says, and what it was asked. */
let [state, epoch, asked]: [string, number, string[]] = ["LIVE", 0, []];
/** What happens while the admin is asked. */
let meanwhile: () => void;
let check: () => Standing | Promise<Standing>;

beforeEach(() => {
  snapshot = { state: "live", epoch: 0, pid: 100, since: 0, reason: "", adminAnswers: true, processes: [] };
  [state, epoch, asked] = ["LIVE", 0, []];
  meanwhile = () => undefined;
  const answer = async <T>(path: string, value: () => T): Promise<T> => {
    asked.push(path);
    meanwhile();
    if (state === "silent") throw new Error("Envoy's admin does not answer: refused");
    return value();
  };
  const admin = {
    state: () => answer("/ready", () => state),
    serverInfo: () => answer("/server_info", () => ({ state, epoch, version: "", concurrency: 1 })),
  } as unknown as EnvoyAdmin;
  const deps = { clock: new FakeClock(), snapshot: () => snapshot, admin, readinessListener: undefined };
  const found = readinessContributors({ ...deps, controlPlane: [] }).find(({ name }) => name === "epoch");
  if (found === undefined) throw new Error("nobody judges the epoch");
  check = () => found.check();
});

describe("the admin's epoch", () => {
  test("is asked for once for each process, its state each time", async () => {
    for (let i = 0; i < 3; i++) expect(await check()).toEqual({ ready: true });
    expect(asked).toEqual(["/server_info", "/ready", "/ready"]);
    snapshot = { ...snapshot, epoch: 1, pid: 101 };
    epoch = 1;
    for (let i = 0; i < 2; i++) expect(await check()).toEqual({ ready: true });
    // Another one that begins with the same number.
    snapshot = { ...snapshot, pid: 102 };
    expect(await check()).toEqual({ ready: true });
    expect(asked.slice(3)).toEqual(["/server_info", "/ready", "/server_info"]);
  });

  test("that is another one is a reason, each time", async () => {
    epoch = 3;
    for (let i = 0; i < 2; i++)
      expect(await check()).toEqual({ ready: false, reason: "Envoy's admin answers for epoch 3, expected 0" });
    expect(asked).toEqual(["/server_info", "/server_info"]);
  });
});

test.each(["PRE_INITIALIZING", "DRAINING"])("%s is a reason, the first time and later", async (word) => {
  state = word;
  for (let i = 0; i < 2; i++) expect(await check()).toEqual({ ready: false, reason: `Envoy says ${word}` });
});

test("silence is a reason, and does not prove an epoch", async () => {
  state = "silent";
  expect(await check()).toEqual({ ready: false, reason: "Envoy's admin does not answer: refused" });
  state = "LIVE";
  await check();
  expect(asked).toEqual(["/server_info", "/server_info"]);
});

describe("an admin that passes on to another Envoy while it is asked says nothing of this one:", () => {
  test.each([
    ["a child has it", { adminAnswers: false }],
    ["another process serves", { pid: 101, epoch: 1 }],
  ])("%s", async (_, change) => {
    await check();
    for (const word of ["INITIALIZING", "silent"]) {
      const before = snapshot;
      state = word;
      meanwhile = () => {
        snapshot = { ...snapshot, ...change };
      };
      expect(await check()).toEqual({ ready: true });
      snapshot = before;
    }
  });
});

test("an admin that is not ours just now is not asked", async () => {
  snapshot = { ...snapshot, adminAnswers: false };
  expect(await check()).toEqual({ ready: true, note: "epoch 0 serves without its admin" });
  snapshot = { ...snapshot, state: "starting" };
  expect(await check()).toEqual({ ready: false, reason: "epoch 0 is not live" });
  snapshot = { ...snapshot, state: "disabled" };
  expect(await check()).toEqual({ ready: true });
  expect(asked).toEqual([]);
});
