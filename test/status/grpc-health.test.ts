import { describe, expect, test } from "vitest";
import { healthRequest, notServing, type UnaryAnswer } from "../../src/status/grpc-health.ts";

const message = (...bytes: readonly number[]) => Buffer.from([0, 0, 0, 0, bytes.length, ...bytes]);
const answer = (more: Partial<UnaryAnswer> = {}): UnaryAnswer => ({
  httpStatus: 200,
  grpcStatus: "0",
  grpcMessage: undefined,
  body: message(8, 1),
  ...more,
});

describe("request", () => {
  test.each([
    ["", "0000000000"],
    ["a.B", "00000000050a03612e42"],
    ["ä", "00000000040a02c3a4"],
    ["x".repeat(200), `00000000cb0ac801${"78".repeat(200)}`],
  ])("%j", (service, hex) => {
    expect(healthRequest(service).toString("hex")).toBe(hex);
  });
});

describe("answer", () => {
  test.each<readonly [title: string, answer: UnaryAnswer, why: RegExp | undefined]>([
    ["SERVING", answer(), undefined],
    [
      "SERVING behind fields that we don't know",
      answer({ body: message(0x12, 2, 0x41, 0x42, 0x1d, 1, 2, 3, 4, 8, 1) }),
      undefined,
    ],
    ["NOT_SERVING", answer({ body: message(8, 2) }), /NOT_SERVING/],
    ["SERVICE_UNKNOWN", answer({ body: message(8, 3) }), /SERVICE_UNKNOWN/],
    ["no field is UNKNOWN", answer({ body: message() }), /UNKNOWN/],
    ["a status of the future", answer({ body: message(8, 9) }), /status 9/],
    ["the last value counts", answer({ body: message(8, 1, 8, 2) }), /NOT_SERVING/],
    ["not implemented", answer({ grpcStatus: "12", body: Buffer.alloc(0) }), /does not implement/],
    ["no such service", answer({ grpcStatus: "5" }), /gRPC status 5: no such service/],
    ["its own words", answer({ grpcStatus: "2", grpcMessage: "db down" }), /gRPC status 2: db down/],
    ["no status", answer({ grpcStatus: undefined }), /no grpc-status/],
    ["plain HTTP", answer({ httpStatus: 404, grpcStatus: undefined }), /HTTP 404/],
    ["no message", answer({ body: Buffer.alloc(0) }), /no readable/],
    ["a compressed message", answer({ body: Buffer.from([1, 0, 0, 0, 2, 8, 1]) }), /no readable/],
    ["half a message", answer({ body: Buffer.from([0, 0, 0, 0, 9, 8, 1]) }), /no readable/],
    ["a field that runs over the end", answer({ body: message(0x12, 9, 1) }), /no readable/],
    ["a varint without end", answer({ body: message(...Array.from({ length: 12 }, () => 255)) }), /no readable/],
    ["a group, which nobody sends", answer({ body: message(0x0b) }), /no readable/],
  ])("%s", (_title, one, why) => {
    const found = notServing(one);
    if (why === undefined) expect(found).toBeUndefined();
    else expect(found).toMatch(why);
  });
});
