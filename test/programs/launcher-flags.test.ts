import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { root } from "../helpers/paths.ts";

/* bin/pilotfish: what it sets for V8. */

const launcher = readFileSync(join(root, "bin/pilotfish"), "utf8");

/** Work that V8 finds worth optimizing. */
const busy = `
  const make = (n) => new Function("a", "let s = " + n + "; for (let k = 0; k < 50; k++) s += a * k; return s;");
  const all = Array.from({ length: 50 }, (_, n) => make(n));
  for (let n = 0; n < 20000; n++) for (const one of all) one(n);`;

test("nothing is compiled in the background", () => {
  // A background compiler that waits for a garbage collection is waited for at the exit, for ever (nodejs/node#54918).
  const flags = /^compile="([^"]*)"$/m.exec(launcher)?.[1]?.split(" ") ?? [];
  expect(flags).toContain("--no-concurrent-sparkplug");
  const said = execFileSync(process.execPath, [...flags, "--trace-opt", "-e", busy], { encoding: "utf8" });
  const ways = [...said.matchAll(/, mode: (\w+::\w+)/g)].map(([, way]) => way);
  expect(new Set(ways)).toEqual(new Set(["ConcurrencyMode::kSynchronous"]));
});
