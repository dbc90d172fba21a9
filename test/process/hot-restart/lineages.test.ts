import { existsSync, mkdirSync, readdirSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { noLog } from "../../../src/foundation/log.ts";
import { Lineages } from "../../../src/process/hot-restart/lineages.ts";
import { LONGEST_PREFIX } from "../../../src/process/hot-restart/names.ts";
import { sharedMemoryPath } from "../../../src/process/hot-restart/shared-memory.ts";
import { temporaryFolder } from "../../helpers/paths.ts";

let folder: ReturnType<typeof temporaryFolder>;
let memory: string;
let ours: string;
beforeEach(() => {
  folder = temporaryFolder("lineages");
  [memory, ours] = [join(folder.path, "shm"), join(folder.path, "proxy")];
  mkdirSync(memory);
});
afterEach(() => folder.done());

function lineages(more: { baseId?: number; chance?: () => number; memory?: string; directory?: string } = {}) {
  return new Lineages({
    log: noLog,
    directory: more.directory ?? ours,
    baseId: more.baseId,
    chance: more.chance ?? Math.random,
    sharedMemoryFolder: more.memory ?? memory,
  });
}
const opened = (more = {}): Lineages => {
  const made = lineages(more);
  made.open();
  return made;
};
const shared = (baseId: number): string => sharedMemoryPath({ baseId, folder: memory });

describe("the names of a lineage", () => {
  test("stay, differ from every other one's, and lie where nobody else may look", () => {
    const made = opened();
    const [first, second] = [made.of(0), made.of(1)];
    expect(made.off).toBeUndefined();
    expect(made.of(0)).toEqual(first);
    expect(first?.prefix).not.toBe(second?.prefix);
    expect(first?.baseId).not.toBe(second?.baseId);
    expect(statSync(join(first?.prefix ?? "", "..")).mode & 0o777).toBe(0o700);
    made.remove();
    expect(readdirSync(ours)).toEqual([]);
  });
  test("a lineage whose last Envoy is dead leaves nothing behind, and the others stay", () => {
    const made = opened();
    const [first, second] = [made.of(0), made.of(1)];
    const folder = join(first?.prefix ?? "", "..");
    for (const one of [first, second]) writeFileSync(shared(one?.baseId ?? 0), "");
    writeFileSync(`${second?.prefix}_parent_${(second?.baseId ?? 0) * 10}`, "");
    writeFileSync(made.adminPath(1) ?? "", "");
    made.retire(1);
    expect(readdirSync(folder)).toEqual([`base-id-${first?.baseId}`]);
    expect(readdirSync(memory)).toHaveLength(1);
    expect(made.of(0)).toEqual(first);
  });
  test("the first one has the admin of its bootstrap, each later one a socket of its own", () => {
    const made = opened();
    expect(made.adminPath(0)).toBeUndefined();
    expect(made.adminPath(1)).not.toBe(made.adminPath(2));
    made.remove();
  });
  test("fit into a socket's address, however long our folder's path is", () => {
    const directory = join(folder.path, "long".repeat(30));
    const made = opened({ directory });
    const prefix = made.of(0)?.prefix ?? "";
    expect(prefix).not.toContain("long");
    expect(prefix.length).toBeLessThanOrEqual(LONGEST_PREFIX);
    made.remove();
    expect(existsSync(join(prefix, ".."))).toBe(false);
  });
});

describe("the base-id", () => {
  test("is the one that was asked for, for the first lineage", () => {
    const made = opened({ baseId: 77 });
    expect([made.of(0)?.baseId, made.of(1)?.baseId === 77]).toEqual([77, false]);
    made.remove();
  });
  test("of somebody else is left alone", () => {
    writeFileSync(shared(77), "somebody's");
    const made = opened({ baseId: 77 });
    expect(made.of(0)?.baseId).not.toBe(77);
    made.remove();
    expect(existsSync(shared(77))).toBe(true);
  });
  test("is drawn again when the drawn one is taken", () => {
    const free = opened({ chance: () => 0 });
    const taken = free.of(0)?.baseId ?? -1;
    free.remove();
    writeFileSync(shared(taken), "somebody's");
    let draws = 0;
    const made = opened({ chance: () => (draws++ === 0 ? 0 : 0.5) });
    expect(made.of(0)?.baseId).toBeGreaterThan(taken);
    expect(draws).toBe(2);
    made.remove();
  });
});

describe("off", () => {
  test("until it is opened, and where shared memory can't be had", () => {
    expect(lineages().off).toBe("not looked at yet");
    const made = opened({ memory: join(folder.path, "missing") });
    expect(made.off).toContain("shared memory cannot be used");
    expect(made.of(0)).toBeUndefined();
    // A swap needs no shared memory, only an admin of its own.
    expect(made.adminPath(1)).toContain("/admin-1");
    made.remove();
  });
  test("where there is no place for the sockets", () => {
    writeFileSync(ours, "a file");
    const made = opened();
    expect(made.off).toContain("no folder for its sockets");
    expect([made.of(0), made.adminPath(1)]).toEqual([undefined, undefined]);
    made.remove();
  });
});

test("what a life before left is removed, and nothing else", () => {
  const dead = opened({ chance: () => 0.25 });
  const { baseId = -1 } = dead.of(0) ?? {};
  writeFileSync(shared(baseId), "left");
  writeFileSync(shared(5), "a stranger's");
  mkdirSync(join(ours, "hot-restart-1-0"));
  const next = opened();
  expect(existsSync(shared(baseId))).toBe(false);
  expect(existsSync(shared(5))).toBe(true);
  // Process 1 is alive: its folder is not abandoned.
  expect(existsSync(join(ours, "hot-restart-1-0"))).toBe(true);
  next.remove();
});
