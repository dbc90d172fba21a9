import { describe, expect, test } from "vitest";
import { mergePages } from "./merge-pages.ts";

/* What is too long a line: 128 KiB with its line feed, wherever the pieces end. */

const LONGEST = 128 * 1024;
const line = (length: number): string => {
  const [start, end] = ['long{a="', '"} 1\n'];
  return `${start}${"x".repeat(length - start.length - end.length)}${end}`;
};

describe.each([1_000, 65_536, 200_000, 1_000_000])("in pieces of %i bytes", (size) => {
  const merged = (page: string) =>
    mergePages(
      [
        { form: "text", page, pieces: [size] },
        { form: "text", page: "next 1\n" },
      ],
      "text",
    );

  test("a line of 128 KiB stays", () => {
    const { page, causes } = merged(`before 1\n${line(LONGEST)}after 1\n`);
    expect(causes).toEqual([undefined, undefined]);
    for (const one of ["before 1\n", line(LONGEST), "after 1\n", "next 1\n"])
      expect(page.includes(`\n${one}`)).toBe(true);
  });

  test.each([1, 50_000])("one that is %i bytes longer ends the source there", (more) => {
    const { page, causes } = merged(`before 1\n${line(LONGEST + more)}after 1\n`);
    expect(causes).toEqual(["long_line", undefined]);
    const [before, after, next] = ["before 1\n", "after 1\n", "next 1\n"].map((one) => page.includes(`\n${one}`));
    expect([before, after, next, page.includes("long{")]).toEqual([true, false, true, false]);
  });
});
