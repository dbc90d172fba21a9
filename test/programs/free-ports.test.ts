import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect, test } from "vitest";

/** Of 20,000: without a claim two such draws would have some 20 in common. */
const COUNT = 600;

test("processes that draw ports at the same time never draw the same one", async () => {
  const module = join(import.meta.dirname, "../helpers/free-ports.ts");
  // Who has drawn waits for the others, as a test that uses its ports does.
  const program = `
    const { freePorts } = await import(${JSON.stringify(module)});
    const [one, other] = await Promise.all([freePorts(${COUNT / 2}), freePorts(${COUNT / 2})]);
    console.log(JSON.stringify([...one, ...other]));
    setTimeout(() => undefined, 3_000);`;
  const draws = await Promise.all(
    [1, 2, 3].map(() => promisify(execFile)(process.execPath, ["--input-type=module", "--eval", program])),
  );
  const all = draws.flatMap(({ stdout }) => JSON.parse(stdout) as number[]);
  expect(all).toHaveLength(3 * COUNT);
  expect(new Set(all).size).toBe(all.length);
});
