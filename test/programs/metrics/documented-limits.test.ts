import { readFileSync } from "node:fs";
import type { ServerResponse } from "node:http";
import { join } from "node:path";
import { afterEach, expect, test } from "vitest";
import { eventually } from "../../helpers/eventually.ts";
import { root } from "../../helpers/paths.ts";
import { type Answer, type Rig, startRig } from "./scrape-rig.ts";

/* Numbers that the pages tell, held to what is done. */

let rig: Rig | undefined;
afterEach(() => rig?.done());
const numberIn = (file: string, where: RegExp): number =>
  Number(where.exec(readFileSync(join(root, "docs", file), "utf8"))?.[1]);

test("so many scrapes of the merged page at once, and one more is refused", async () => {
  const most = numberIn("status.md", /^\| scrapes \| (\d+) of the merged page/m);
  expect(most).toBeGreaterThan(1);
  const held: ServerResponse[] = [];
  const slow: Answer = (_request, response) => void held.push(response);
  rig = await startRig({ applications: [slow] });
  const { scrape } = rig;
  const all = Array.from({ length: most }, () => scrape());
  await eventually("all are under way", () => held.length === most);
  expect((await scrape()).status).toBe(503);
  for (const response of held) response.end("x 1\n");
  expect((await Promise.all(all)).map(({ status }) => status)).toEqual(Array.from({ length: most }, () => 200));
});

test("so many dropped families by name, the others together", async () => {
  const most = numberIn("metrics.md", /up to (\d+) names for each source, the rest together as `other families`/);
  expect(most).toBeGreaterThan(1);
  const page = (type: string): string =>
    Array.from({ length: most + 5 }, (_, n) => `# TYPE f${n} ${type}\nf${n} 1\n`).join("");
  rig = await startRig({ applications: [page("gauge"), page("counter")] });
  const text = (await rig.scrape()).body.toString();
  const named = [...text.matchAll(/^pilotfish_scrape_dropped_family_samples\{.*family="(.*)"\} (\d+)$/gm)];
  expect(named).toHaveLength(most + 1);
  expect(named.at(-1)?.slice(1)).toEqual(["other families", "5"]);
});
