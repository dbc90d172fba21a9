import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  deltaDiscoveryRequest,
  deltaDiscoveryResponse,
  discoveryRequest,
  discoveryResponse,
} from "../../src/protocol/messages.ts";
import { typeUrls } from "../../src/protocol/names.ts";
import { RequestReader, ResponseReader } from "../../src/xds/discovery-reading.ts";
import { FieldScanner, fieldsOf } from "../../src/xds/field-scanner.ts";

const cut = (bytes: Buffer, size: number): Buffer[] =>
  Array.from({ length: Math.ceil(bytes.length / size) }, (_, n) => bytes.subarray(n * size, (n + 1) * size));

describe("shallow reading", () => {
  const sizes = [1, 2, 3, 7, 100, 1_000_000];

  test.each(sizes)("a SotW response in pieces of %i bytes", (size) => {
    const value = Buffer.alloc(50_000, 0x55);
    const bytes = discoveryResponse.encode({
      versionInfo: "v7",
      typeUrl: typeUrls.cluster,
      nonce: "n1",
      resources: [
        { typeUrl: typeUrls.cluster, value },
        { typeUrl: typeUrls.cluster, value },
      ],
    });
    const reader = new ResponseReader("sotw", bytes.length);
    let early: number | undefined;
    let fed = 0;
    for (const part of cut(bytes, size)) {
      reader.push(part);
      fed += part.length;
      if (reader.typeUrl !== undefined) early ??= fed;
    }
    expect(reader.facts()).toEqual({
      typeUrl: typeUrls.cluster,
      version: "v7",
      nonce: "n1",
      resources: 2,
      size: bytes.length,
    });
    if (size < 1_000) expect(early).toBeLessThan(3_000);
  });

  test.each(sizes)("a delta response in pieces of %i bytes", (size) => {
    const resource = (name: string) => ({
      name,
      version: "1",
      resource: { typeUrl: typeUrls.listener, value: Buffer.alloc(9_000) },
    });
    const bytes = deltaDiscoveryResponse.encode({
      systemVersionInfo: "s",
      typeUrl: typeUrls.listener,
      nonce: "n",
      resources: [resource("a"), resource("b"), resource("c")],
      removedResources: ["gone"],
    });
    const reader = new ResponseReader("delta", bytes.length);
    let [early, fed] = [0, 0];
    for (const part of cut(bytes, size)) {
      reader.push(part);
      fed += part.length;
      if (reader.typeUrl !== undefined && early === 0) early = fed;
    }
    if (size < 1_000) expect(early).toBeLessThan(3_000);
    expect(reader.facts()).toMatchObject({ typeUrl: typeUrls.listener, version: "s", nonce: "n", resources: 3 });
  });

  test("a response without resources is told by its type field", () => {
    const bytes = discoveryResponse.encode({ typeUrl: typeUrls.nameTable, nonce: "1" });
    const reader = new ResponseReader("sotw", bytes.length);
    reader.push(bytes);
    expect(reader.typeUrl).toBe(typeUrls.nameTable);
  });

  test.each(sizes)("requests of both kinds in pieces of %i bytes", (size) => {
    const names = Array.from({ length: 30 }, (_, n) => `cluster-${n}`);
    const error = { code: 3, message: "no such filter" };
    const sotw = discoveryRequest.encode({
      typeUrl: typeUrls.endpoint,
      resourceNames: names,
      responseNonce: "x",
      errorDetail: error,
    });
    const delta = deltaDiscoveryRequest.encode({
      typeUrl: typeUrls.endpoint,
      resourceNamesSubscribe: names,
      responseNonce: "x",
      errorDetail: error,
      initialResourceVersions: { a: "1" },
    });
    for (const [variant, bytes] of [
      ["sotw", sotw],
      ["delta", delta],
    ] as const) {
      const reader = new RequestReader(variant, bytes.length);
      for (const part of cut(bytes, size)) reader.push(part);
      expect(reader.facts()).toMatchObject({
        typeUrl: typeUrls.endpoint,
        nonce: "x",
        error: "no such filter",
        names: 30,
      });
      expect(reader.facts().someNames).toEqual(names.slice(0, 20));
    }
  });

  test("any bytes at all are read without an exception, in any pieces", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), fc.integer({ min: 1, max: 50 }), (bytes, size) => {
        for (const variant of ["sotw", "delta"] as const) {
          const [request, response] = [new RequestReader(variant, 1), new ResponseReader(variant, 1)];
          for (const part of cut(Buffer.from(bytes), size)) {
            request.push(part);
            response.push(part);
          }
          request.facts();
          response.facts();
        }
      }),
    );
  });

  test("the scanner says when bytes are no protobuf", () => {
    const scanner = new FieldScanner({ collect: () => 0, onField: () => undefined });
    expect(scanner.push(Buffer.from([0x07]))).toBe("not-protobuf");
    expect(fieldsOf(Buffer.from([0x0a, 0x02, 0x41, 0x42]))).toEqual([{ field: 1, value: Buffer.from("AB") }]);
  });
});
