import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { expect, test } from "vitest";

/** Of 20,000: without a claim two such draws would have some 20 in common. */
const COUNT = 600;

test("processes that draw ports at the same time never draw the same one", async () => {
  const module = join(import.meta.dirname, "../helpers/free-ports.ts");
  // Who has drawn stays until all have, as a test that uses its ports does: its standard input ends then.
  const program = `
    const { freePorts } = await import(${JSON.stringify(module)});
    const [one, other] = await Promise.all([freePorts(${COUNT / 2}), freePorts(${COUNT / 2})]);
    console.log(JSON.stringify([...one, ...other]));
    process.stdin.resume();`;
  const children = [1, 2, 3].map(() =>
    spawn(process.execPath, ["--input-type=module", "--eval", program], { stdio: ["pipe", "pipe", "inherit"] }),
  );
  const exits = children.map((child) => once(child, "exit"));
  const draws = await Promise.all(children.map(({ stdout }) => line(stdout)));
  for (const { stdin } of children) stdin.end();
  await Promise.all(exits);
  const all = draws.flatMap((text) => JSON.parse(text) as number[]);
  expect(all).toHaveLength(3 * COUNT);
  expect(new Set(all).size).toBe(all.length);
});

/** The first line of a stream. */
async function line(stream: AsyncIterable<Buffer>): Promise<string> {
  let text = "";
  for await (const part of stream) {
    text += part.toString();
    if (text.includes("\n")) break;
  }
  return text;
}
