import fc from "fast-check";
import { expect, test } from "vitest";
import { parsePodInfo, unquote } from "../../src/config/pod-info.ts";

test("the downward API's file", () => {
  const text = 'app="web"\nproxy.istio.io/config="a: 1\\nb: \\"x\\"\\n"\nempty=""\nequals="a=b"\n';
  expect([...parsePodInfo(text, () => expect.unreachable())]).toEqual([
    ["app", "web"],
    ["proxy.istio.io/config", 'a: 1\nb: "x"\n'],
    ["empty", ""],
    ["equals", "a=b"],
  ]);
});

test("a line that can't be read is told and the rest kept", () => {
  const bad: number[] = [];
  const found = parsePodInfo('a="1"\nnonsense\nb=2\n\nc="x\nd="4"', (line) => bad.push(line));
  expect([...found]).toEqual([
    ["a", "1"],
    ["d", "4"],
  ]);
  expect(bad).toEqual([2, 3, 5]);
});

test.each([
  ['"a\\tb\\\\"', "a\tb\\"],
  ['"\\u00e9\\U0001F600"', "é😀"],
  ['"\\xc3\\xa9"', "é"],
  ['"\\303\\251"', "é"],
  ['"\\a\\v"', "\u0007\v"],
  ['"\\U00110000"', "\ufffd"],
  ['"\\ud800"', "\ufffd"],
  ['"a\\xc3\\xa9b\\xff"', "aéb\ufffd"],
  ['"\\q"', undefined],
  ['"a', undefined],
  ["a", undefined],
  ['"a"b"', undefined],
])("Go's literal %s", (literal, text) => {
  expect(unquote(literal)).toBe(text);
});

test("any text comes back from its literal", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), (text) => unquote(JSON.stringify(text)) === text.toWellFormed()),
  );
});
