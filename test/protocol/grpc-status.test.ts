import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Deframer, decodeMessage, encodeMessage, framed, statusName } from "../../src/protocol/grpc-status.ts";

describe("grpc-message", () => {
  test("any text comes back, and is printable ASCII on the wire", () => {
    fc.assert(
      fc.property(fc.string({ unit: "grapheme" }), (text) => {
        const wire = encodeMessage(text);
        expect(wire).toMatch(/^[\x20-\x7e]*$/);
        expect(decodeMessage(wire)).toBe(text);
      }),
    );
  });

  test("what is no percent encoding stays as it is", () => expect(decodeMessage("100 % sure")).toBe("100 % sure"));
});

test.each([
  [0, "OK"],
  [4, "DEADLINE_EXCEEDED"],
  [16, "UNAUTHENTICATED"],
  [99, "code 99"],
])("code %i is %s", (code, name) => expect(statusName(code)).toBe(name));

describe("the deframer", () => {
  test("gives whole messages however the bytes come", () => {
    fc.assert(
      fc.property(
        fc.array(fc.uint8Array({ maxLength: 50 }), { maxLength: 10 }),
        fc.integer({ min: 1, max: 30 }),
        (messages, size) => {
          const all = Buffer.concat(messages.map((one) => framed(one)));
          const got: string[] = [];
          const deframer = new Deframer(100, (one) => got.push(one.toString("hex")));
          for (let at = 0; at < all.length; at += size) deframer.push(all.subarray(at, at + size));
          expect(got).toEqual(messages.map((one) => Buffer.from(one).toString("hex")));
        },
      ),
    );
  });

  test("a message above the limit and a compressed one are errors", () => {
    const deframer = () => new Deframer(10, () => undefined);
    expect(() => deframer().push(framed(Buffer.alloc(11)))).toThrow("a message of 11 bytes; at most 10 are taken");
    expect(() => deframer().push(Buffer.from([1, 0, 0, 0, 0]))).toThrow("compressed");
  });
});
