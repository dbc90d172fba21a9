import { describe, expect, test } from "vitest";
import { measuredNeed, memoryObjection, memoryRoom } from "../../src/agent/memory-headroom.ts";

const MIB = 1024 * 1024;
const from =
  (files: Readonly<Record<string, string>>) =>
  (path: string): string | undefined =>
    files[path];

/** Files of one level, as the kernel writes them. */
const v2 = (folder: string, max: string, current: number, inactive: number) => ({
  [`${folder}/memory.max`]: `${max}\n`,
  [`${folder}/memory.current`]: `${current}\n`,
  [`${folder}/memory.stat`]: `anon 1\nfile 2\ninactive_anon 7\ninactive_file ${inactive}\nactive_file 9\n`,
});
const v1 = (folder: string, limit: string, usage: number, inactive: number) => ({
  [`${folder}/memory.limit_in_bytes`]: `${limit}\n`,
  [`${folder}/memory.usage_in_bytes`]: `${usage}\n`,
  [`${folder}/memory.stat`]: `inactive_file 1\ntotal_inactive_file ${inactive}\n`,
});
const root = "/sys/fs/cgroup";

describe("the room that is left", () => {
  test.each([
    ["no file at all", {}, undefined],
    [
      "v2, in a container's own namespace",
      { "/proc/self/cgroup": "0::/\n", ...v2(root, "1000", 700, 200) },
      { limit: 1000, used: 500 },
    ],
    ["v2 without a limit", { "/proc/self/cgroup": "0::/\n", ...v2(root, "max", 700, 200) }, undefined],
    [
      "v2, the host's path that is not mounted here",
      { "/proc/self/cgroup": "0::/kubepods/pod1/abc\n", ...v2(root, "1000", 700, 0) },
      { limit: 1000, used: 700 },
    ],
    [
      "v2, a slice above with less room than ours",
      {
        "/proc/self/cgroup": "0::/proxy.slice/envoy.service\n",
        ...v2(`${root}/proxy.slice/envoy.service`, "1000", 100, 0),
        ...v2(`${root}/proxy.slice`, "2000", 1_900, 50),
      },
      { limit: 2000, used: 1_850 },
    ],
    [
      "v1, the group's own path",
      {
        "/proc/self/cgroup": "5:devices:/\n4:memory:/box/1\n0::/\n",
        ...v1(`${root}/memory/box/1`, "1000", 600, 100),
        ...v1(`${root}/memory`, "9223372036854771712", 90_000, 0),
      },
      { limit: 1000, used: 500 },
    ],
    [
      "v1 beside another controller",
      { "/proc/self/cgroup": "3:cpu,memory:/a\n", ...v1(`${root}/memory/a`, "1000", 600, 0) },
      { limit: 1000, used: 600 },
    ],
    ["v1 without a limit", { ...v1(`${root}/memory`, "9223372036854771712", 600, 0) }, undefined],
    [
      "idle pages counted in another moment are never more than all",
      { ...v2(root, "1000", 100, 300) },
      { limit: 1000, used: 0 },
    ],
    [
      "a parent of a namespace does not lead out of the mount",
      { "/proc/self/cgroup": "0::/../../x\n", ...v2(root, "1000", 1, 0) },
      { limit: 1000, used: 1 },
    ],
    ["a limit without a usage says nothing", { [`${root}/memory.max`]: "1000\n" }, undefined],
  ])("%s", (_title, files: Record<string, string>, room) => {
    expect(memoryRoom(from(files))).toEqual(room);
  });
});

describe("what a second Envoy needs", () => {
  const status = "VmRSS:\t   66000 kB\nRssAnon:\t   14000 kB\nRssFile:\t   51000 kB\nRssShmem:\t    1000 kB\n";
  test.each([
    ["the same binary: its own pages", `${status}VmSwap:\t       0 kB\n`, true, 15_000 * 1024],
    ["another binary: its pages too", `${status}VmSwap:\t       0 kB\n`, false, 66_000 * 1024],
    ["what was swapped out comes back", `${status}VmSwap:\t    2000 kB\n`, true, 17_000 * 1024],
    ["an old kernel knows the whole only", "VmRSS:\t   66000 kB\n", true, 66_000 * 1024],
    ["a kernel thread or a zombie has none", "Name:\tenvoy\n", true, undefined],
  ])("%s", (_title, text, same, need) => {
    expect(measuredNeed(from({ "/proc/7/status": text }), 7, same)).toBe(need);
  });

  test("a process that has gone says nothing", () => {
    expect(measuredNeed(from({}), 7, true)).toBeUndefined();
  });
});

describe("the objection", () => {
  test.each([
    ["no limit", undefined, 20 * MIB],
    ["nothing measured", { limit: 1, used: 1 }, undefined],
    ["room with the least margin", { limit: 100 * MIB, used: 72 * MIB }, 20 * MIB],
    ["room with a quarter on top", { limit: 200 * MIB, used: 100 * MIB }, 80 * MIB],
  ])("none: %s", (_title, room, need) => {
    expect(memoryObjection(room, need)).toBeUndefined();
  });

  test.each([
    ["one byte too little", { limit: 100 * MIB, used: 72 * MIB + 1 }, 20 * MIB],
    ["a quarter of a large one", { limit: 200 * MIB, used: 100 * MIB + 1 }, 80 * MIB],
    ["more in use than allowed", { limit: 100 * MIB, used: 120 * MIB }, 20 * MIB],
  ])("%s", (_title, room, need) => {
    expect(memoryObjection(room, need)).toMatch(/needs about \d+ MiB .* are left of \d+ MiB .*--ignore-memory/);
  });

  test("has the numbers", () => {
    expect(memoryObjection({ limit: 128 * MIB, used: 110 * MIB }, 20 * MIB)).toBe(
      "a second Envoy needs about 28 MiB (the serving one has 20 MiB of its own), but 18 MiB are left of 128 MiB " +
        "(110 MiB in use); raise the memory limit, or ask with --ignore-memory (PILOTFISH_IGNORE_MEMORY for all)",
    );
  });
});
