import { describe, expect, test } from "vitest";
import { adminOverride } from "../../src/agent/admin-override.ts";
import { versionIn } from "../../src/agent/binary-facts.ts";
import { keepSettings } from "../../src/agent/kept-settings.ts";
import { keptParentShutdown } from "../../src/agent/parent-shutdown.ts";
import { digestParts, launchDigest } from "../../src/agent/rendered-launch.ts";
import { restartWay } from "../../src/agent/restart-way.ts";
import { validationIn } from "../../src/agent/validation.ts";
import { readYaml } from "../../src/config/yaml-reader.ts";
import { envoyArguments } from "../../src/process/envoy-command-line.ts";
import { agentConfig } from "../fakes/agent-config.ts";

describe("hot restart or swap", () => {
  const usual = {
    ask: { strategy: "auto" as const },
    serving: { hotRestart: true, hotRestartVersion: "11.104" },
    newVersion: "11.104",
    sharedMemory: "usable" as const,
  };
  const no = { why: '"/dev/shm": no space left on the device (ENOSPC)' };
  test.each([
    ["everything fits", usual, "hot-restart", "both have hot-restart version 11.104"],
    [
      "an unknown layout on both sides is Envoy's own business",
      { ...usual, newVersion: "12.1", serving: { hotRestart: true, hotRestartVersion: "12.1" } },
      "hot-restart",
      "both have hot-restart version 12.1",
    ],
    ["asked for", { ...usual, ask: { strategy: "swap" as const } }, "swap", "asked for"],
    [
      "off",
      { ...usual, serving: { hotRestart: false, hotRestartVersion: "11.104" } },
      "swap",
      "hot restart is off for the serving Envoy",
    ],
    ["no shared memory", { ...usual, sharedMemory: no }, "swap", `shared memory cannot be used: ${no.why}`],
    [
      "versions differ",
      { ...usual, newVersion: "11.112" },
      "swap",
      "hot-restart versions differ: 11.104 serves, the new binary has 11.112",
    ],
    [
      "new one silent",
      { ...usual, newVersion: undefined },
      "swap",
      "the new binary does not say its hot-restart version",
    ],
    [
      "old one not known",
      { ...usual, serving: { hotRestart: true, hotRestartVersion: undefined } },
      "swap",
      "the serving Envoy's hot-restart version is not known",
    ],
  ])("%s", (_title, facts, by, because) => {
    expect(restartWay(facts)).toEqual({ by, because });
  });
});

describe("Envoy's arguments", () => {
  const files = { bootstrapPath: "/b.json", override: undefined, setsLogFormat: false };
  const value = (words: readonly string[], flag: string): string | undefined => {
    const at = words.indexOf(flag);
    expect(words.lastIndexOf(flag)).toBe(at);
    return at < 0 ? undefined : words[at + 1];
  };

  test("without a lineage hot restart is off, and no flag of it is there", () => {
    const words = envoyArguments(agentConfig(), files);
    expect(words).toContain("--disable-hot-restart");
    for (const flag of ["--base-id", "--socket-path", "--restart-epoch", "--parent-shutdown-time-s"]) {
      expect(words).not.toContain(flag);
    }
  });

  test("with a lineage every flag of it, once, and hot restart is not turned off", () => {
    const hotRestart = { lineage: { prefix: "/run/p/hr", baseId: 77 }, parentShutdown: 60_400 };
    const words = envoyArguments(agentConfig({ args: ["--concurrency", "3"] }), files, { epoch: 4, hotRestart });
    expect(words).not.toContain("--disable-hot-restart");
    expect(value(words, "--base-id")).toBe("77");
    expect(value(words, "--socket-path")).toBe("/run/p/hr");
    expect(value(words, "--restart-epoch")).toBe("4");
    expect(value(words, "--parent-shutdown-time-s")).toBe("60");
    expect(value(words, "--drain-strategy")).toBe("immediate");
    expect(value(words, "--drain-time-s")).toBe("45");
    expect(value(words, "--concurrency")).toBe("3");
    expect(words.filter((word) => word.startsWith("--skip-hot-restart"))).toEqual([]);
  });
});

test("an Envoy that counts its own workers gets as many as the one before; a configured number wins", () => {
  const files = { bootstrapPath: "/b.json", override: undefined, setsLogFormat: false };
  const how = { epoch: 1, hotRestart: undefined, concurrency: 7 };
  const of = (args: readonly string[]): string => envoyArguments(agentConfig({ args }), files, how).join(" ");
  expect(of(["--concurrency", "0"])).toContain("--concurrency 7");
  expect(of(["--concurrency", "3"])).toContain("--concurrency 3");
});

describe("parent shutdown", () => {
  test.each([
    ["longer than needed", 45_000, 60_000, 60_000],
    ["just enough", 45_000, 50_000, 50_000],
    ["too short", 45_000, 46_000, 50_000],
  ])("%s", (_title, drainTime, parentShutdownTime, time) => {
    const kept = keptParentShutdown({ drainTime, parentShutdownTime });
    expect(kept.time).toBe(time);
    expect(kept.notice === undefined).toBe(time === parentShutdownTime);
    if (kept.notice !== undefined) {
      expect(kept.notice).toBe(
        "parentShutdownDuration 46s becomes 50s: the old Envoy has to outlive drainDuration 45s by 5s",
      );
    }
  });
});

describe("the admin on a unix socket", () => {
  const path = '/a b/"#x\\y.sock';
  const admin = { address: { pipe: { path, mode: 0o600 } } };
  const read = (text: string): unknown => {
    const found = readYaml(text);
    return found.ok ? found.value : found;
  };
  test.each([
    ["no override", undefined, { admin }],
    ["JSON", '{"node": {"id": "x"}}', { node: { id: "x" }, admin }],
    [
      "JSON with an admin: the rest of it stays",
      '{"admin": {"address": {"socketAddress": {"portValue": 1}}, "ignore_global_conn_limit": true}}',
      { admin: { ignore_global_conn_limit: true, ...admin } },
    ],
    ["YAML", "node:\n  id: x # why\n", { node: { id: "x" }, admin }],
    ["YAML in braces", "{node: {id: x}}\n", { node: { id: "x" }, admin }],
    ["YAML with an admin", "admin:\n  address: {pipe: {path: /o}}\nnode: {id: x}\n", { node: { id: "x" }, admin }],
  ])("%s", async (_title, override, wanted) => {
    const text = (await adminOverride(override))(path);
    expect(read(text)).toEqual(wanted);
    if (override?.includes("# why") === true) expect(text).toContain("id: x # why");
  });
});

describe("a configuration that was read anew", () => {
  test("the same says nothing", () => {
    const { notices } = keepSettings(agentConfig(), agentConfig());
    expect(notices).toEqual([]);
  });

  test("what the agent was built from stays, with a word; what Envoy gets changes", () => {
    const first = agentConfig();
    const fresh = agentConfig({
      args: ["--statusPort", "15999", "--configPath", "/elsewhere", "--discoveryAddress", "other:15012"],
      mesh: '{"proxyListenPort": 15101}',
      env: { XDS_ROOT_CA: "/other.pem", TERMINATION_DRAIN_DURATION_SECONDS: "9" },
    });
    const kept = keepSettings(first, fresh);
    expect(kept.config.ports.status).toBe(15_020);
    expect(kept.config.bootstrap.directory).toBe(first.bootstrap.directory);
    expect(kept.config.proxy.discoveryAddress).toBe(first.proxy.discoveryAddress);
    expect(kept.config.xds).toBe(first.xds);
    expect(kept.config.mesh.proxyListenPort).toBe(15_101);
    expect(kept.notices.map((one) => one.split(" changed too")[0])).toEqual([
      "the status port",
      "configPath",
      "the address of the control plane",
      "settings of certificates",
      "drain times of a stop",
    ]);
  });
});

test("the version stands alone in its line, among whatever else a binary says", () => {
  expect(versionIn("11.104\n")).toBe("11.104");
  expect(versionIn("[warning] something 1.2.3 is old\n  12.1  \n")).toBe("12.1");
  expect(versionIn("envoy  version: 86/1.40.0/Clean\n")).toBeUndefined();
  expect(versionIn("")).toBeUndefined();
});

test("a digest keeps its parts apart", () => {
  for (const parts of [
    { settings: "ab12", identity: "1:2:3:4:5" },
    { settings: "ab12", identity: undefined },
  ])
    expect(digestParts(launchDigest(parts))).toEqual(parts);
});

test.each([
  [
    "accepted",
    { exit: { how: "exited", code: 0 } as const, stdout: "configuration OK", stderr: "" },
    { is: "accepted" },
  ],
  [
    "its telling line",
    {
      exit: { how: "exited", code: 1 } as const,
      stdout: "",
      stderr: "x\n[critical] error initializing: no\nexiting\n",
    },
    { is: "refused", words: "[critical] error initializing: no" },
  ],
  [
    "nothing said",
    { exit: { how: "exited", code: 1 } as const, stdout: "", stderr: " \n" },
    { is: "refused", words: "it does not say why" },
  ],
  [
    "a crash is no objection of Envoy's",
    { exit: { how: "killed", signal: "SIGSEGV" } as const, stdout: "", stderr: "" },
    { is: "unknown", why: "Envoy was ended by SIGSEGV while it checked the bootstrap" },
  ],
  [
    "no time",
    { exit: { how: "timed-out" } as const, stdout: "", stderr: "" },
    { is: "unknown", why: "Envoy did not finish its check within 30 s" },
  ],
])("a validation's end: %s", (_title, finished, wanted) => {
  expect(validationIn(finished)).toEqual(wanted);
});

test.each([
  [
    "JSON behind it",
    'Unable to parse JSON as proto (INVALID_ARGUMENT:  invalid JSON @ x): {\\"key\\":\\"SECRET\\"}',
    "Unable to parse JSON as proto (INVALID_ARGUMENT: invalid JSON @ x)",
  ],
  [
    "protobuf's text before it",
    'goo.gle/debugstr  \\nsecrets {\\n  inline_string: \\"SECRET\\"\\n}\\n: Proto constraint validation failed (Name: too short)',
    "Proto constraint validation failed (Name: too short)",
  ],
  [
    "protobuf's text behind it",
    "Invalid duration: Expected positive duration: goo.gle/debugstr   \\nseconds: -1\\nkey: SECRET\\n",
    "Invalid duration: Expected positive duration",
  ],
])("Envoy's words without the document that they repeat: %s", (_title, said, words) => {
  const stderr = `critical error initializing configuration 'c.json': ${said}\n`;
  expect(validationIn({ exit: { how: "exited", code: 1 }, stdout: "", stderr })).toEqual({ is: "refused", words });
});
