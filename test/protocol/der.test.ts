import { describe, expect, test } from "vitest";
import { children, fromPem, integer, oid, readElement, sequence, time, toPem } from "../../src/protocol/der.ts";

describe("DER", () => {
  test.each([
    [0, "020100"],
    [127, "02017f"],
    [128, "02020080"],
    [255, "020200ff"],
  ])("integer %i", (value, hex) => expect(integer(value).toString("hex")).toBe(hex));

  test("integers from bytes lose leading zeros and stay positive", () => {
    expect(integer(Buffer.from("00007f", "hex")).toString("hex")).toBe("02017f");
    expect(integer(Buffer.from("000080", "hex")).toString("hex")).toBe("02020080");
  });

  test.each([
    ["2.5.29.17", "0603551d11"],
    ["1.2.840.113549.1.1.11", "06092a864886f70d01010b"],
  ])("object identifier %s", (dotted, hex) => expect(oid(dotted).toString("hex")).toBe(hex));

  test("dates change their form in 2050", () => {
    expect(time(new Date("2026-11-21T12:34:56.789Z")).toString("latin1")).toContain("261121123456Z");
    expect(time(new Date("2050-01-01T00:00:00Z")).toString("latin1")).toContain("20500101000000Z");
  });

  test("what was written is read again, long lengths too", () => {
    const inner = [integer(5), sequence(Buffer.concat([oid("2.5.4.3"), integer(1)])), integer(Buffer.alloc(300, 1))];
    const read = children(readElement(sequence(...inner)));
    expect(read.map(({ whole }) => whole.toString("hex"))).toEqual(inner.map((one) => one.toString("hex")));
  });

  test.each(["", "30", "3005020100", "3080", "30850000000001"])("garbage %j is an error", (hex) => {
    expect(() => children(readElement(Buffer.from(hex, "hex")))).toThrow("cannot read DER");
  });

  test("PEM there and back", () => {
    const bytes = Buffer.alloc(100, 7);
    expect(fromPem("X", `noise\n${toPem("X", bytes)}${toPem("Y", bytes)}${toPem("X", bytes)}`)).toEqual([bytes, bytes]);
  });
});
