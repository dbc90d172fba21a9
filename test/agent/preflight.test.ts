import { copyFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { beforeEach, describe, expect, onTestFinished, test } from "vitest";
import { BinaryFacts } from "../../src/agent/binary-facts.ts";
import { createPreflight, type PreflightDeps } from "../../src/agent/preflight.ts";
import { launchDigest, type RenderedLaunch } from "../../src/agent/rendered-launch.ts";
import type { AgentConfig } from "../../src/config/agent-config.ts";
import { noLog } from "../../src/foundation/log.ts";
import type { RestartAsk, Serving } from "../../src/process/launch.ts";
import { fileIdentity } from "../../src/system/content-digest.ts";
import { agentConfig } from "../fakes/agent-config.ts";
import { FakeClock } from "../fakes/fake-clock.ts";
import { temporaryFolder } from "../helpers/paths.ts";

/** The order of the checks, and what each refusal spares; the real Envoy's part is test/integration/preflight.test.ts. */
let done: string[];
let clock: FakeClock;
beforeEach(() => {
  done = [];
  clock = new FakeClock();
});

const ask: RestartAsk = { cause: "test", strategy: "auto", explicit: true, ignoreMemory: false };
const MIB = 1024 * 1024;
/** A container with that much left, and an Envoy of 20 MiB in it. */
const memory = (left: number) => (path: string) =>
  path === "/sys/fs/cgroup/memory.max"
    ? String(500 * MIB)
    : path === "/sys/fs/cgroup/memory.current"
      ? String(500 * MIB - left)
      : path === "/proc/7/status"
        ? "RssAnon:\t   20480 kB\n"
        : undefined;

interface Case {
  readonly launch?: Partial<RenderedLaunch>;
  readonly config?: AgentConfig;
  readonly deps?: Partial<PreflightDeps>;
  readonly asked?: Partial<RestartAsk>;
  readonly serving?: Partial<Serving>;
}

function preflight({ launch, config = agentConfig(), deps, asked, serving }: Case) {
  const binary = process.execPath;
  const identity = fileIdentity(binary);
  const digest = launchDigest({ settings: "new", identity });
  const fake = {
    config,
    binary,
    identity,
    digest,
    facts: { usesAds: true, secrets: [] },
    write: () => done.push("write"),
    validate: () => {
      done.push("validate");
      return Promise.resolve({ is: "accepted" });
    },
    discard: () => done.push("discard"),
    ...launch,
  } as unknown as RenderedLaunch;
  const binaries = new BinaryFacts(new Map());
  binaries.version = () => Promise.resolve("11.104");
  const probe = () => {
    done.push("probe");
    return Promise.resolve(undefined);
  };
  const old: Serving = { pid: 7, digest, hotRestartVersion: "11.104", hotRestart: true, ...serving };
  const prepare = createPreflight({
    clock,
    log: noLog,
    binaries,
    reread: () => Promise.resolve(config),
    render: () => Promise.resolve(fake),
    readFile: memory(400 * MIB),
    sharedMemory: () => "usable",
    controlPlane: () => ({ probe }),
    ...deps,
  });
  return prepare({ ...ask, ...asked }, old);
}

describe("the order", () => {
  test("file, validation, control plane; nothing is discarded that is ready", async () => {
    expect(await preflight({})).toMatchObject({ is: "ready", by: "hot-restart" });
    expect(done).toEqual(["write", "validate", "probe"]);
  });

  test("unchanged comes before everything that costs", async () => {
    expect(await preflight({ asked: { explicit: false } })).toEqual({ is: "unchanged" });
    expect(done).toEqual(["discard"]);
  });

  test("no memory: not even the validation runs, which is an Envoy of its own", async () => {
    const refusal = await preflight({ deps: { readFile: memory(27 * MIB) } });
    expect(refusal).toMatchObject({ is: "refused", check: "memory" });
    expect(done).toEqual(["discard"]);
  });

  test.each([
    ["asked for", { asked: { ignoreMemory: true } }],
    ["configured", { config: agentConfig({ env: { PILOTFISH_IGNORE_MEMORY: "true" } }) }],
  ])("memory is ignored when it is %s", async (_title, more) => {
    expect(await preflight({ ...more, deps: { readFile: memory(0) } })).toMatchObject({ is: "ready" });
  });

  test("a refused bootstrap is not held against the control plane", async () => {
    const validate = () => Promise.resolve({ is: "refused", words: "no such filter" } as const);
    expect(await preflight({ launch: { validate } })).toEqual({
      is: "refused",
      check: "bootstrap",
      why: "Envoy refuses it: no such filter",
    });
    expect(done).toEqual(["write", "discard"]);
  });

  test("a validation that came to no end is no acceptance", async () => {
    const validate = () => Promise.resolve({ is: "unknown", why: "Envoy was ended by SIGKILL" } as const);
    expect(await preflight({ launch: { validate } })).toMatchObject({
      is: "refused",
      why: "Envoy was ended by SIGKILL",
    });
  });
});

test("a control plane that says nothing is not waited for without end", async () => {
  const silent = { probe: () => new Promise<undefined>(() => undefined) };
  const answer = preflight({ deps: { controlPlane: () => silent } });
  for (let turn = 0; turn < 20 && clock.pending() === 0; turn++) await new Promise((next) => setImmediate(next));
  clock.advance(15_000);
  expect(await answer).toMatchObject({ is: "refused", check: "control-plane" });
  expect(clock.pending()).toBe(0);
});

test("a binary that is replaced while it is looked at is refused", async () => {
  const folder = temporaryFolder("preflight");
  onTestFinished(folder.done);
  const binary = join(folder.path, "envoy");
  copyFileSync("/bin/true", binary);
  const validate = () => {
    rmSync(binary);
    copyFileSync("/bin/false", binary);
    return Promise.resolve({ is: "accepted" } as const);
  };
  const identity = fileIdentity(binary);
  expect(await preflight({ launch: { binary, identity, validate } })).toMatchObject({
    is: "refused",
    check: "binary",
    why: expect.stringContaining("was replaced while it was being checked") as string,
  });
  expect(done.at(-1)).toBe("discard");
});

test("a version that nobody asked for is that of the same binary, and of no other", async () => {
  const serving = { hotRestartVersion: undefined };
  expect(await preflight({ serving })).toMatchObject({ by: "hot-restart" });
  const other = { ...serving, digest: launchDigest({ settings: "new", identity: "1:2:3:4:5" }) };
  expect(await preflight({ serving: other })).toMatchObject({
    by: "swap",
    because: "the serving Envoy's hot-restart version is not known",
  });
});

test("a bug is a refusal with a line in the log, and leaves no file", async () => {
  const said: string[] = [];
  const log = { ...noLog, error: (text: string) => said.push(text) };
  const validate = () => Promise.reject(new TypeError("oops"));
  expect(await preflight({ launch: { validate }, deps: { log } })).toEqual({
    is: "refused",
    check: "bootstrap",
    why: "oops",
  });
  expect(said).toEqual(["The preflight of a restart failed"]);
  expect(done).toEqual(["write", "discard"]);
});
