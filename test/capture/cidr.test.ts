import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  addressIn,
  contains,
  formatAddress,
  formatCidr,
  overlaps,
  parseAddress,
  parseCidr,
} from "../../src/capture/cidr.ts";

const cidr = (text: string): NonNullable<ReturnType<typeof parseCidr>> => {
  const parsed = parseCidr(text);
  if (parsed === undefined) throw new Error(text);
  return parsed;
};

describe("ranges of addresses", () => {
  test.each([
    ["10.1.2.3/8", "10.0.0.0/8"],
    ["0.0.0.0/0", "0.0.0.0/0"],
    ["192.0.2.1/32", "192.0.2.1/32"],
    ["FD00:0:0::1/16", "fd00::/16"],
    ["::ffff:10.0.0.1/128", "::ffff:a00:1/128"],
    ["::6/128", "::6/128"],
    ["2001:db8:0:1:0:0:0:1/128", "2001:db8:0:1::1/128"],
    ["1:0:2:3:4:5:6:7/128", "1:0:2:3:4:5:6:7/128"],
    ["::/0", "::/0"],
  ])("%s is %s", (text, canonical) => {
    expect(formatCidr(cidr(text))).toBe(canonical);
  });

  test.each([
    "10.0.0/8",
    "10.0.0.256/8",
    "010.0.0.1/8",
    "10.0.0.0",
    "10.0.0.0/",
    "10.0.0.0/-1",
    "10.0.0.0/33",
    "10.0.0.0/8/8",
    "fd00::/129",
    "fd00:::1/64",
    "::1::2/64",
    "1:2:3:4:5:6:7:8:9/64",
    "1:2:3:4:5:6:7/64",
    "fd00::g/64",
    "",
    "/8",
    "a/8",
    "1:2:3:4:5:6:7:8::/64",
    "fe80::1%eth0/64",
  ])("%s is none", (text) => {
    expect(parseCidr(text)).toBeUndefined();
  });

  test("every address survives being written and read", () => {
    fc.assert(
      fc.property(fc.bigInt({ min: 0n, max: 2n ** 128n - 1n }), (value) => {
        expect(parseAddress(formatAddress("v6", value))).toEqual({ family: "v6", value });
      }),
    );
    fc.assert(
      fc.property(fc.ipV6(), (text) => {
        const parsed = parseAddress(text);
        expect(parsed).toBeDefined();
        // Node's own parser judges.
        expect(new URL(`http://[${text}]/`).hostname).toBe(`[${formatAddress("v6", parsed?.value ?? 0n)}]`);
      }),
    );
  });

  test("what lies in what", () => {
    expect(overlaps(cidr("127.0.0.0/8"), cidr("127.0.0.1/32"))).toBe(true);
    expect(overlaps(cidr("10.0.0.0/8"), cidr("11.0.0.0/8"))).toBe(false);
    expect(overlaps(cidr("0.0.0.0/0"), cidr("::/0"))).toBe(false);
    expect(contains(cidr("10.0.0.0/8"), cidr("10.1.0.0/16"))).toBe(true);
    expect(contains(cidr("10.1.0.0/16"), cidr("10.0.0.0/8"))).toBe(false);
    expect(addressIn(cidr("10.0.0.0/30"), 3n)).toBe("10.0.0.3");
    expect(addressIn(cidr("10.0.0.0/30"), 4n)).toBeUndefined();
  });
});
