import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  decodeMessage,
  encodeNotRecognized,
  encodeReply,
  encodeRequest,
  type HotRestartReply,
  type HotRestartRequest,
  LARGEST_DATAGRAM,
  MessageAssembler,
} from "../../../src/process/hot-restart/message.ts";
import { allSocketNames, LONGEST_PREFIX, socketName } from "../../../src/process/hot-restart/names.ts";
import { bytesField, varintField } from "../../../src/process/hot-restart/wire.ts";

const hex = (parts: readonly Buffer[]): string => Buffer.concat(parts).toString("hex");
const decoded = (parts: readonly Buffer[]): unknown => {
  const assembler = new MessageAssembler();
  const results = parts.map((one) => assembler.add(one));
  const last = results.at(-1);
  expect(results.slice(0, -1)).toEqual(parts.slice(0, -1).map(() => undefined));
  return last?.kind === "message" ? decodeMessage(last.body) : last;
};

describe("bytes as seen on the wire of Envoy 1.40", () => {
  test.each<[HotRestartRequest["ask"], string]>([
    ["stats", "00000000000000040a021a00"],
    ["terminate", "00000000000000040a022a00"],
    ["drain-listeners", "00000000000000040a022200"],
    ["shutdown-admin", "00000000000000040a021200"],
  ])("request %s", (ask, expected) => {
    expect(hex(encodeRequest({ ask } as HotRestartRequest))).toBe(expected);
  });
  test("a request for a socket leaves out worker 0", () => {
    const request = { ask: "pass-listen-socket", address: "tcp://127.0.0.1:80", namespace: "" } as const;
    const body = Buffer.from("tcp://127.0.0.1:80").toString("hex");
    expect(hex(encodeRequest({ ...request, worker: 0 }))).toBe(`00000000000000180a160a140a12${body}`);
    expect(hex(encodeRequest({ ...request, worker: 1 }))).toBe(`000000000000001a0a180a160a12${body}1001`);
  });
  test("replies", () => {
    expect(hex(encodeReply({ answer: "stats" }))).toBe("000000000000000412021a00");
    expect(hex(encodeReply({ answer: "pass-listen-socket", descriptor: -1 }))).toBe(
      "000000000000000f120d0a0b08ffffffffffffffffff01",
    );
    expect(hex(encodeReply({ answer: "shutdown-admin", startedAtSeconds: 1, reusePortByDefault: true }))).toBe(
      "000000000000000812061204" + "08011001",
    );
    expect(hex(encodeNotRecognized())).toBe("00000000000000021801");
  });
});

const requests: fc.Arbitrary<HotRestartRequest> = fc.oneof(
  fc.record({
    ask: fc.constant("pass-listen-socket" as const),
    address: fc.string({ maxLength: 9_000 }),
    worker: fc.nat({ max: 0xffff_ffff }),
    namespace: fc.string(),
  }),
  fc
    .constantFrom("shutdown-admin", "stats", "drain-listeners", "terminate", "forwarded-udp", "test-connection")
    .map((ask) => ({ ask }) as HotRestartRequest),
);

const replies: fc.Arbitrary<HotRestartReply> = fc.oneof(
  fc.record({
    answer: fc.constant("pass-listen-socket" as const),
    descriptor: fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }),
  }),
  fc.record({
    answer: fc.constant("shutdown-admin" as const),
    startedAtSeconds: fc.nat(),
    reusePortByDefault: fc.boolean(),
  }),
  fc.constant({ answer: "stats" as const }),
);

describe("messages", () => {
  test("every request and reply comes back, in datagrams of 4096 bytes", () => {
    fc.assert(
      fc.property(requests, replies, (request, reply) => {
        for (const parts of [encodeRequest(request), encodeReply(reply)])
          expect(parts.slice(0, -1).every(({ length }) => length === LARGEST_DATAGRAM)).toBe(true);
        expect(decoded(encodeRequest(request))).toEqual({ is: "request", request });
        expect(decoded(encodeReply(reply))).toEqual({ is: "reply", reply });
      }),
    );
  });

  test("unknown fields are passed over", () => {
    const more = Buffer.concat([
      bytesField(99, "x"),
      varintField(98, 7),
      Buffer.from([((97 * 8 + 5) % 128) | 128, 6, 1, 2, 3, 4]),
    ]);
    const pass = Buffer.concat([bytesField(1, "tcp://[::1]:8"), more, varintField(2, 3)]);
    const body = Buffer.concat([more, bytesField(1, Buffer.concat([more, bytesField(1, pass)])), more]);
    expect(decodeMessage(body)).toEqual({
      is: "request",
      request: { ask: "pass-listen-socket", address: "tcp://[::1]:8", worker: 3, namespace: "" },
    });
    expect(decodeMessage(bytesField(1, bytesField(42, "")))).toEqual({ is: "unknown", side: "request" });
    expect(decodeMessage(bytesField(2, bytesField(42, "")))).toEqual({ is: "unknown", side: "reply" });
    expect(decodeMessage(more)).toEqual({ is: "unknown", side: "neither" });
    expect(decodeMessage(varintField(3, 1))).toEqual({ is: "not-recognized" });
  });

  test("a stats reply with content is a stats reply", () => {
    const stats = Buffer.concat([varintField(1, 12_345), bytesField(4, Buffer.concat([bytesField(1, "gauge")]))]);
    expect(decodeMessage(bytesField(2, bytesField(3, stats)))).toEqual({ is: "reply", reply: { answer: "stats" } });
  });

  test("any bytes at all are read or refused, never thrown over", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        const message = decodeMessage(Buffer.from(bytes));
        expect(message === undefined || typeof message.is === "string").toBe(true);
      }),
      { numRuns: 2_000 },
    );
  });

  test("a good message with one byte changed is read or refused", () => {
    fc.assert(
      fc.property(requests, fc.nat(), fc.nat({ max: 255 }), (request, place, value) => {
        const whole = Buffer.concat(encodeRequest(request));
        whole[place % whole.length] = value;
        const result = new MessageAssembler().add(whole);
        if (result?.kind === "message") decodeMessage(result.body);
      }),
    );
  });
});

describe("the assembler", () => {
  test("keeps the descriptors of every part", () => {
    const assembler = new MessageAssembler();
    const parts = encodeRequest({ ask: "pass-listen-socket", address: "x".repeat(5_000), worker: 0, namespace: "" });
    expect(parts).toHaveLength(2);
    expect(assembler.add(parts[0] ?? Buffer.alloc(0), [7])).toBeUndefined();
    expect(assembler.add(parts[1] ?? Buffer.alloc(0), [8])).toMatchObject({ kind: "message", descriptors: [7, 8] });
    expect(assembler.abandon()).toEqual([]);
  });
  test("an unfinished message gives its descriptors back", () => {
    const assembler = new MessageAssembler();
    assembler.add(encodeRequest({ ask: "stats" })[0]?.subarray(0, 9) ?? Buffer.alloc(0), [5, 6]);
    expect(assembler.abandon()).toEqual([5, 6]);
    expect(assembler.add(encodeRequest({ ask: "stats" })[0] ?? Buffer.alloc(0))).toMatchObject({ kind: "message" });
  });
  test.each([
    ["too short", Buffer.from([1, 2, 3])],
    ["too long for a message", Buffer.from("ffffffffffffffff00", "hex")],
    ["beyond its end", Buffer.concat([...encodeRequest({ ask: "stats" }), Buffer.from([0])])],
  ])("garbage is reported and forgotten: %s", (_, bytes) => {
    const assembler = new MessageAssembler();
    expect(assembler.add(bytes, [3])).toMatchObject({ kind: "garbage", descriptors: [3] });
    expect(assembler.add(encodeRequest({ ask: "stats" })[0] ?? Buffer.alloc(0))).toMatchObject({ kind: "message" });
  });
});

describe("names", () => {
  test("come back every third epoch", () => {
    const lineage = { prefix: "/run/x/envoy", baseId: 17 };
    expect([0, 1, 2, 3].map((epoch) => socketName(lineage, "parent", epoch))).toEqual([
      "/run/x/envoy_parent_170",
      "/run/x/envoy_parent_171",
      "/run/x/envoy_parent_172",
      "/run/x/envoy_parent_170",
    ]);
    // As Envoy 1.40.0 names them with --base-id 265053239: it has 32 bits with a sign.
    expect(socketName({ prefix: "/run/e0", baseId: 265_053_239 }, "child", 0)).toBe(
      "/run/e0_child_18446744072065116710",
    );
    expect(allSocketNames(lineage)).toHaveLength(12);
    expect(allSocketNames(lineage)).toContain("/run/x/envoy_udp_child_172");
  });
  test("the longest prefix fits", () => {
    const lineage = { prefix: "x".repeat(LONGEST_PREFIX), baseId: 0xffff_ffff };
    expect(Math.max(...allSocketNames(lineage).map((one) => one.length))).toBeLessThanOrEqual(107);
  });
});
