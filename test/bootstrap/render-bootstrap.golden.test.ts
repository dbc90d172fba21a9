import { describe, expect, test } from "vitest";
import { filesOf, goldenFiles, goldens, updateGolden } from "./goldens.ts";

describe("golden bootstraps", () => {
  test.each(goldens.map((one) => [one.name, one] as const))("%s", async (_name, golden) => {
    const files = goldenFiles(await golden.render());
    if (process.env["UPDATE_GOLDEN"] === "1") updateGolden(golden, files);
    expect(Object.fromEntries(files)).toEqual(Object.fromEntries(filesOf(golden)));
  });

  test("the same configuration gives the same bytes", async () => {
    for (const golden of goldens) expect((await golden.render()).text).toBe((await golden.render()).text);
  });
});
