import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  addressFamily,
  durationText,
  firstSet,
  parseBoolean,
  parseDuration,
  parseHostPort,
  parseInteger,
} from "../../src/config/units.ts";

describe("durations as Go writes them", () => {
  test.each([
    ["0", 0],
    ["-0", 0],
    ["0s", 0],
    ["45s", 45_000],
    ["1m0s", 60_000],
    ["300ms", 300],
    ["1h30m", 5_400_000],
    ["1.5s", 1_500],
    [".5s", 500],
    ["1.s", 1_000],
    ["100us", 0.1],
    ["1µs", 0.001],
    ["1000000ns", 1],
    ["-5s", -5_000],
    ["+5s", 5_000],
    ["0.1s200ms", 300],
    ["5", undefined],
    ["", undefined],
    ["s", undefined],
    ["5 s", undefined],
    ["5S", undefined],
    ["1d", undefined],
    ["--5s", undefined],
    ["5s3", undefined],
    [".s", undefined],
    ["Infinitys", undefined],
  ])("%s is %s ms", (text, millis) => {
    expect(parseDuration(text)).toEqual(millis);
  });

  test("what is written is read back", () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 2 ** 40 }), (millis) => parseDuration(durationText(millis)) === millis),
    );
  });
});

test.each([
  ["1", true],
  ["TRUE", true],
  ["t", true],
  ["False", false],
  ["0", false],
  ["yes", undefined],
  ["", undefined],
  ["tRUE", undefined],
  ["constructor", undefined],
])("boolean %s is %s", (text, value) => {
  expect(parseBoolean(text)).toBe(value);
});

test.each([
  ["0", 0],
  ["-1", -1],
  ["+7", 7],
  ["007", 7],
  ["1.0", undefined],
  ["1e3", undefined],
  ["0x10", undefined],
  ["99999999999999999999", undefined],
  ["", undefined],
])("integer %s is %s", (text, value) => {
  expect(parseInteger(text)).toBe(value);
});

test.each([
  ["istiod.istio-system.svc:15012", { host: "istiod.istio-system.svc", port: 15_012 }],
  ["10.0.0.1:1", { host: "10.0.0.1", port: 1 }],
  ["[::1]:15010", { host: "::1", port: 15_010 }],
  ["[fe80::1%eth0]:80", { host: "fe80::1%eth0", port: 80 }],
  ["::1:80", undefined],
  ["host", undefined],
  ["host:", undefined],
  [":80", undefined],
  ["host:0", undefined],
  ["host:65536", undefined],
  ["host:http", undefined],
  ["http://host:80", undefined],
  ["a b:80", undefined],
])("address %s", (text, value) => {
  expect(parseHostPort(text)).toEqual(value);
});

test.each([
  ["10.0.0.1", "v4"],
  ["256.0.0.1", undefined],
  ["1.2.3", undefined],
  ["::", "v6"],
  ["::1", "v6"],
  ["fd00::2", "v6"],
  ["1:2:3:4:5:6:7:8", "v6"],
  ["1:2:3:4:5:6:7", undefined],
  ["1:2:3:4:5:6:7:8:9", undefined],
  ["1::2::3", undefined],
  ["::ffff:10.0.0.1", "v6"],
  ["fe80::1%eth0", "v6"],
  ["12345::", undefined],
  ["host", undefined],
  ["", undefined],
])("family of %s is %s", (text, family) => {
  expect(addressFamily(text)).toBe(family);
});

test("the first value that is set, and 0, false and nothing are values", () => {
  expect(firstSet<number>(undefined, 0, 1)).toBe(0);
  expect(firstSet<boolean>(undefined, false, true)).toBe(false);
  expect(firstSet<string>(undefined, "", "x")).toBe("");
  expect(firstSet<string>(undefined, undefined)).toBeUndefined();
});
