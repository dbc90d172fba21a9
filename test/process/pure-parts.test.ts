import { describe, expect, test } from "vitest";
import { countConnections } from "../../src/process/connection-counts.ts";
import { environmentForEnvoy } from "../../src/process/envoy-command-line.ts";
import { exitInWords } from "../../src/process/exit-words.ts";
import { outOfMemoryKills, provenOutOfMemory, readKills } from "../../src/process/out-of-memory.ts";
import { calledLately, noCalls, noteTotal } from "../../src/process/recent-calls.ts";

test("connections by listener: ours, internal, worker and admin ones do not count", () => {
  const text = [
    "listener.0.0.0.0_15006.downstream_cx_active: 2",
    "listener.0.0.0.0_15006.downstream_cx_total: 40",
    "listener.0.0.0.0_15006.worker_0.downstream_cx_active: 2",
    "listener.0.0.0.0_15001.downstream_cx_active: 3",
    "listener.0.0.0.0_15001.downstream_cx_total: 99",
    "listener.0.0.0.0_15021.downstream_cx_active: 7",
    "listener.[__]_15090.downstream_cx_active: 5",
    "listener.[__]_8443.downstream_cx_active: 1",
    "listener.[__]_8443.downstream_cx_total: 4",
    "listener.127.0.0.1_9000.downstream_cx_active: 1",
    "listener.127.0.0.1_9000.downstream_cx_total: 50",
    "listener.admin.downstream_cx_active: 1",
    "listener.admin.main_thread.downstream_cx_active: 1",
    "listener.envoy_internal_main.downstream_cx_active: 9",
    "something.else: 4",
    // Callers whose first bytes the listener filters wait for.
    "listener.[__]_8443.downstream_pre_cx_active: 2",
    "listener.0.0.0.0_15001.downstream_pre_cx_active: 1",
    "listener.0.0.0.0_15021.downstream_pre_cx_active: 3",
    "listener.admin.downstream_pre_cx_active: 1",
    "listener.[__]_8443.downstream_pre_cx_timeout: 8",
  ].join("\n");
  const roles = { own: new Set([15021, 15090]), outbound: new Set([15001]) };
  expect(countConnections(text, roles)).toEqual({ active: 10, inboundActive: 5, inboundTotal: 44 });
});

describe("called lately", () => {
  const at = (total: number, active = 0) => ({ inboundTotal: total, inboundActive: active });
  test("an open connection is a caller", () => {
    expect(calledLately(noCalls, 0, at(0, 1))).toBe(true);
  });
  test("young pod: every connection was lately", () => {
    expect(calledLately(noCalls, 500, at(0))).toBe(false);
    expect(calledLately(noCalls, 500, at(1))).toBe(true);
  });
  test("the last minute decides", () => {
    let history = noCalls;
    for (let seconds = 20; seconds <= 200; seconds += 20)
      history = noteTotal(history, seconds * 1_000, seconds < 100 ? 3 : 5);
    expect(calledLately(history, 201_000, at(5))).toBe(false);
    expect(calledLately(history, 201_000, at(6))).toBe(true);
    expect(calledLately(history, 120_000, at(5))).toBe(true);
    expect(history.samples.length).toBeLessThan(6);
  });
  test("a new Envoy counts from zero", () => {
    const history = noteTotal(noteTotal(noCalls, 0, 500), 70_000, 500);
    expect(calledLately(history, 140_000, at(2))).toBe(true);
    expect(calledLately(history, 140_000, at(0))).toBe(false);
  });
});

describe("out of memory is proven, not guessed", () => {
  const v2 = "low 0\nhigh 0\nmax 12\noom 1\noom_kill 1\noom_group_kill 0\n";
  const v1 = "oom_kill_disable 0\nunder_oom 0\noom_kill 3\n";
  test("both kernels' files", () => {
    expect(readKills(v2)).toBe(1);
    expect(readKills(v1)).toBe(3);
    expect(readKills("oom_kill_disable 0\n")).toBeUndefined();
  });
  test("v2 first, then v1, unreadable is unknown", () => {
    expect(outOfMemoryKills((path) => (path.endsWith("memory.events") ? v2 : v1))).toBe(1);
    expect(outOfMemoryKills((path) => (path.endsWith("oom_control") ? v1 : undefined))).toBe(3);
    expect(
      outOfMemoryKills(() => {
        throw new Error("EACCES");
      }),
    ).toBeUndefined();
  });
  test("only a counter that went up proves it", () => {
    expect(provenOutOfMemory(1, 2)).toBe(true);
    expect(provenOutOfMemory(2, 2)).toBe(false);
    expect(provenOutOfMemory(undefined, 2)).toBe(false);
  });
  test("words", () => {
    const kill = { how: "killed", signal: "SIGKILL" } as const;
    expect(exitInWords(kill, true)).toContain("out of memory");
    expect(exitInWords(kill)).not.toContain("out of memory");
    expect(exitInWords({ how: "killed", signal: "SIGSEGV" }, true)).toContain("segmentation fault");
    expect(exitInWords({ how: "exited", code: 3 })).toBe("ended with exit code 3");
  });
});

test("Envoy does not inherit what the launcher tuned for us, but what the user set", () => {
  const env = new Map([
    ["PILOTFISH_TUNING", " MALLOC_ARENA_MAX"],
    ["MALLOC_ARENA_MAX", "1"],
    ["MALLOC_TRIM_THRESHOLD_", "7"],
    ["NOTIFY_SOCKET", "/run/systemd/notify"],
    ["PATH", "/bin"],
  ]);
  expect([...environmentForEnvoy(env)]).toEqual([
    ["MALLOC_TRIM_THRESHOLD_", "7"],
    ["PATH", "/bin"],
  ]);
});
