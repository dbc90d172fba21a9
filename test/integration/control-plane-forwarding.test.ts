import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { framed } from "../../src/protocol/grpc-status.ts";
import {
  deltaDiscoveryRequest,
  discoveryRequest,
  discoveryResponse,
  nameTable,
  trustBundleConfig,
} from "../../src/protocol/messages.ts";
import { paths, typeUrls } from "../../src/protocol/names.ts";
import { eventually } from "../helpers/eventually.ts";
import { type World, world } from "../identity/harness.ts";
import { asks, between, sha, standsStill, unknownField } from "../xds/between.ts";
import { rememberingLog } from "../xds/proxy-harness.ts";

let w: World;
const ends: (() => unknown)[] = [];
beforeEach(async () => {
  w = await world();
  ends.push(() => w.done());
});
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

describe("bytes are forwarded as they are", () => {
  test.each([paths.streamAggregated, paths.deltaAggregated])(
    "unknown fields, both directions, by hash (%s)",
    async (path) => {
      {
        const b = await between(w, ends);
        const envoy = b.connect(path);
        const sent = [asks(typeUrls.cluster), asks(typeUrls.listener)].map((one) => Buffer.concat([one, unknownField]));
        for (const one of sent) envoy.send(one);
        await eventually("the requests", () => b.requests.length === 2);
        expect(b.requests.map(sha)).toEqual(sent.map(sha));
        const call = await b.first();
        const answers = [1, 1_000, 70_000, 3_000_000].map((size, n) =>
          Buffer.concat([
            discoveryResponse.encode({
              typeUrl: typeUrls.cluster,
              nonce: String(n),
              resources: [{ typeUrl: typeUrls.cluster, value: Buffer.alloc(size, n) }],
            }),
            unknownField,
          ]),
        );
        for (const one of answers) call.stream.write(framed(one));
        await eventually("the answers", () => envoy.messages.length === answers.length);
        expect(envoy.messages.map(sha)).toEqual(answers.map(sha));
      }
    },
  );

  test("resources of 50 MB, 100,000 small ones, garbage and an empty message", async () => {
    const b = await between(w, ends);
    const envoy = b.connect();
    envoy.send(asks(typeUrls.cluster));
    const call = await b.first();
    const small = { typeUrl: typeUrls.endpoint, value: Buffer.from("x") };
    const answers = [
      discoveryResponse.encode({
        typeUrl: typeUrls.cluster,
        nonce: "1",
        resources: [{ typeUrl: typeUrls.cluster, value: Buffer.alloc(50e6, 1) }],
      }),
      discoveryResponse.encode({
        typeUrl: typeUrls.endpoint,
        nonce: "2",
        resources: Array.from({ length: 100_000 }, () => small),
      }),
      Buffer.from("this is no protobuf message at all \xff\xff\xff", "latin1"),
      Buffer.alloc(0),
    ];
    for (const one of answers) call.stream.write(framed(one));
    await eventually("all of it", () => envoy.messages.length === answers.length);
    expect(envoy.messages.map(sha)).toEqual(answers.map(sha));
    expect(b.proxy.status().streams[0]?.types.find(({ type }) => type === "EDS")).toMatchObject({ resources: 100_000 });
  }, 60_000);

  test("many streams at once keep apart: each Envoy has its own upstream stream", async () => {
    const b = await between(w, ends, {}, (call) => {
      const own = Buffer.from(`${Math.random()}`);
      call.stream.once("data", () =>
        call.stream.write(
          framed(
            discoveryResponse.encode({
              typeUrl: typeUrls.cluster,
              nonce: "1",
              resources: [{ typeUrl: typeUrls.cluster, value: own }],
            }),
          ),
        ),
      );
    });
    const envoys = Array.from({ length: 5 }, () => b.connect());
    for (const one of envoys) one.send(asks(typeUrls.cluster));
    await eventually("an answer for each", () => envoys.every(({ messages }) => messages.length === 1));
    expect(new Set(envoys.map(({ messages }) => sha(messages[0] ?? Buffer.alloc(0)))).size).toBe(5);
    expect(b.upstream.connections()).toBe(5);
    expect(b.proxy.status().streams.map(({ pid }) => pid)).toEqual(envoys.map(() => process.pid));
    for (const one of envoys) one.close();
    await eventually("nothing left", () => b.upstream.connections() === 0 && b.proxy.status().streams.length === 0);
  });

  test("a slow Envoy does not grow us without bound", async () => {
    const b = await between(w, ends);
    const envoy = b.connect();
    envoy.send(asks(typeUrls.cluster));
    const call = await b.first();
    envoy.stream.pause();
    const one = framed(
      discoveryResponse.encode({
        typeUrl: typeUrls.cluster,
        nonce: "1",
        resources: [{ typeUrl: typeUrls.cluster, value: Buffer.alloc(10e6, 7) }],
      }),
    );
    for (let n = 0; n < 12; n++) call.stream.write(one);
    // What the proxy takes is what the control plane can write before it has to wait: a few windows, not 120 MB.
    expect(await standsStill(() => call.stream.session?.socket?.bytesWritten ?? 0)).toBeLessThan(20_000_000);
    envoy.stream.resume();
    await eventually("all twelve", () => envoy.messages.length === 12);
  }, 60_000);
});

describe("who gets what", () => {
  test("a type that nobody asked for does not reach Envoy, and is said once", async () => {
    const { log, lines } = rememberingLog();
    const b = await between(w, ends, { log });
    const envoy = b.connect();
    envoy.send(asks(typeUrls.cluster));
    const call = await b.first();
    const stranger = discoveryResponse.encode({
      typeUrl: "type.googleapis.com/istio.secret.Thing",
      nonce: "1",
      resources: [{ typeUrl: "type.googleapis.com/istio.secret.Thing", value: Buffer.alloc(100) }],
    });
    call.stream.write(Buffer.concat([framed(stranger), framed(stranger)]));
    const good = discoveryResponse.encode({ typeUrl: typeUrls.cluster, nonce: "2" });
    call.stream.write(framed(good));
    await eventually("Envoy's own answer", () => envoy.messages.length > 0);
    expect(envoy.messages.map(sha)).toEqual([sha(good)]);
    expect(lines.filter((line) => line.includes("nobody asked for"))).toHaveLength(1);
  });

  test.each(["sotw", "delta"])(
    "name table and trust bundle are asked for after LDS, taken, acknowledged, refused (%s)",
    async (variant) => {
      const tables: unknown[] = [];
      const bundles: (readonly string[])[] = [];
      const b = await between(w, ends, {
        hooks: {
          onNameTable: (table) => {
            if (table.table["bad"]) throw new Error("no bad names here");
            tables.push(table.table);
          },
          onTrustBundle: (roots) => bundles.push(roots),
        },
      });
      b.proxy.setApplicationHealth({ healthy: false, reason: "the database is gone" });
      const delta = variant === "delta";
      const envoy = b.connect(delta ? paths.deltaAggregated : paths.streamAggregated);
      const decode = (bytes: Buffer) => (delta ? deltaDiscoveryRequest : discoveryRequest).decode(bytes);
      const encode = (typeUrl: string) => (delta ? deltaDiscoveryRequest.encode({ typeUrl }) : asks(typeUrl));
      envoy.send(encode(typeUrls.cluster));
      await eventually("CDS", () => b.requests.length === 1);
      envoy.send(encode(typeUrls.listener));
      await eventually("our own requests", () => b.requests.length === 5);
      expect(b.requests.map((one) => decode(one).typeUrl)).toEqual([
        typeUrls.cluster,
        typeUrls.listener,
        typeUrls.nameTable,
        typeUrls.proxyConfig,
        typeUrls.health,
      ]);
      expect(decode(b.requests[4] ?? Buffer.alloc(0)).errorDetail?.message).toBe("the database is gone");
      const { deltaDiscoveryResponse } = await import("../../src/protocol/messages.ts");
      const answer = (typeUrl: string, nonce: string, value: Buffer): Buffer =>
        delta
          ? deltaDiscoveryResponse.encode({
              typeUrl,
              nonce,
              resources: [{ name: "x", version: "1", resource: { typeUrl, value } }],
            })
          : discoveryResponse.encode({ typeUrl, nonce, versionInfo: "v", resources: [{ typeUrl, value }] });
      const call = await b.first();
      const names = (name: string) =>
        nameTable.encode({
          table: { [name]: { ips: ["10.0.0.1"], registry: "Kubernetes", shortname: "", namespace: "", altHosts: [] } },
        });
      call.stream.write(framed(answer(typeUrls.nameTable, "n1", names("a.b.svc"))));
      call.stream.write(framed(answer(typeUrls.nameTable, "n2", names("bad"))));
      call.stream.write(
        framed(answer(typeUrls.proxyConfig, "n3", trustBundleConfig.encode({ caCertificatesPem: ["PEM"] }))),
      );
      await eventually("three answers of ours", () => b.requests.length === 8);
      const ours = b.requests.slice(5).map(decode);
      expect(ours.map(({ responseNonce, errorDetail }) => [responseNonce, errorDetail?.message])).toEqual([
        ["n1", undefined],
        ["n2", "no bad names here"],
        ["n3", undefined],
      ]);
      expect(tables).toHaveLength(1);
      expect(bundles).toEqual([["PEM"]]);
      expect(envoy.messages).toEqual([]);
    },
  );

  test("extension configurations are rewritten on the way, and the order stays", async () => {
    const b = await between(w, ends, {
      hooks: {
        rewriteExtensions: async (message) => {
          await new Promise((resolve) => setImmediate(resolve));
          const read = discoveryResponse.decode(message);
          return discoveryResponse.encode({ ...read, versionInfo: `${read.versionInfo}-rewritten` });
        },
      },
    });
    const envoy = b.connect();
    envoy.send(asks(typeUrls.extensionConfig));
    const call = await b.first();
    const one = (typeUrl: string, versionInfo: string) =>
      framed(discoveryResponse.encode({ typeUrl, versionInfo, resources: [{ typeUrl, value: Buffer.alloc(2_000) }] }));
    call.stream.write(
      Buffer.concat([
        one(typeUrls.extensionConfig, "1"),
        one(typeUrls.cluster, "2"),
        one(typeUrls.extensionConfig, "3"),
        one(typeUrls.listener, "4"),
      ]),
    );
    await eventually("four messages", () => envoy.messages.length === 4);
    expect(envoy.messages.map((bytes) => discoveryResponse.decode(bytes).versionInfo)).toEqual([
      "1-rewritten",
      "2",
      "3-rewritten",
      "4",
    ]);
  });

  test("another service on this socket is unimplemented", async () => {
    const b = await between(w, ends);
    const envoy = b.connect("/envoy.service.load_stats.v3.LoadReportingService/StreamLoadStats");
    expect(await envoy.ended).toMatchObject({ code: 12 });
  });
});
