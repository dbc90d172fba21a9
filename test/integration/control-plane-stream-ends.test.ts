import { readFileSync, writeFileSync } from "node:fs";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type Authority, issuePair } from "../../src/control-plane/certificate-authority.ts";
import { finish } from "../../src/protocol/grpc-server.ts";
import { framed } from "../../src/protocol/grpc-status.ts";
import { discoveryResponse } from "../../src/protocol/messages.ts";
import { paths, typeUrls } from "../../src/protocol/names.ts";
import { eventually } from "../helpers/eventually.ts";
import { identity, jwt, type World, world } from "../identity/harness.ts";
import { asks, between } from "../xds/between.ts";
import { rememberingLog, startProxy } from "../xds/proxy-harness.ts";
import { type RawEnvoy, rawEnvoy } from "../xds/wire.ts";

let w: World;
const ends: (() => unknown)[] = [];
beforeEach(async () => {
  w = await world();
  ends.push(() => w.done());
});
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

describe("how a stream ends", () => {
  test("the control plane's status reaches Envoy, with its words", async () => {
    const b = await between(w, ends);
    const envoy = b.connect();
    envoy.send(asks(typeUrls.cluster));
    finish((await b.first()).stream, 7, "this workload may not: ½ & %");
    expect(await envoy.ended).toEqual({ code: 7, text: "this workload may not: ½ & %" });
    await eventually("nothing left", () => b.proxy.status().streams.length === 0 && b.upstream.connections() === 0);
    expect(b.proxy.status().reason).toMatch(/^PERMISSION_DENIED: this workload may not/);
  });

  test("a token that has expired is named as the reason", async () => {
    w.writeToken(jwt(-60));
    const b = await between(w, ends);
    const envoy = b.connect();
    finish((await b.first()).stream, 16, "authentication failure");
    expect(await envoy.ended).toMatchObject({ code: 16 });
    expect(b.proxy.status().reason).toMatch(/^token expired at 20.*; UNAUTHENTICATED: authentication failure$/);
  });

  test("Envoy's end reaches the control plane", async () => {
    const b = await between(w, ends);
    const envoy = b.connect();
    envoy.send(asks(typeUrls.cluster));
    const call = await b.first();
    const closed = new Promise((resolve) => call.stream.once("close", resolve));
    envoy.close();
    await closed;
    await eventually("nothing left", () => b.proxy.status().streams.length === 0 && b.upstream.connections() === 0);
  });

  test("token, clusterid and further headers go along; Envoy's own are passed on", async () => {
    const b = await between(w, ends);
    w.writeToken("secret-token");
    const config = {
      ...b.config,
      xdsSocket: w.path("second/XDS"),
      xds: { ...b.config.xds, headers: [["x-tenant", "blue"]] as const },
    };
    const proxy = await startProxy(config);
    ends.push(() => proxy.close());
    const envoy = rawEnvoy(config.xdsSocket, paths.streamAggregated, { "x-from-envoy": "1" });
    ends.push(() => envoy.close());
    const { headers } = await b.first();
    expect(headers).toMatchObject({
      authorization: "Bearer secret-token",
      clusterid: "Kubernetes",
      "x-tenant": "blue",
      "x-from-envoy": "1",
    });
  });

  test("a first request that stays unanswered: the stream is renewed and it is said", async () => {
    const { log, lines } = rememberingLog();
    const b = await between(w, ends, { log, patience: { firstAnswer: 300 } });
    const envoy = b.connect();
    envoy.send(asks(typeUrls.listener));
    expect(await envoy.ended).toMatchObject({
      code: 14,
      text: expect.stringMatching(/gave no LDS within 300 ms/) as string,
    });
    expect(lines.some((line) => line.includes("the control plane does not answer"))).toBe(true);
    expect(b.proxy.status()).toMatchObject({
      reachable: "no",
      reason: expect.stringContaining("no answer to LDS") as string,
    });
  });

  test("silence after the first answer is normal", async () => {
    const b = await between(w, ends, { patience: { firstAnswer: 200 } }, (call) => {
      call.stream.once("data", () =>
        call.stream.write(framed(discoveryResponse.encode({ typeUrl: typeUrls.cluster, nonce: "1" }))),
      );
    });
    const envoy = b.connect();
    envoy.send(asks(typeUrls.cluster));
    await eventually("the answer", () => envoy.messages.length === 1);
    const until = performance.now() + 600;
    await eventually("three times the limit went by", () => performance.now() > until);
    expect(b.proxy.status().streams).toMatchObject([
      { state: "open", receivedClusters: true, receivedListeners: false, reason: "" },
    ]);
  });

  test("a stream is renewed before its token ends, when there is a new one", async () => {
    const old = jwt(2);
    w.writeToken(old);
    const b = await between(w, ends, { patience: { beforeTokenEnd: 1_500 } });
    const envoy = b.connect();
    await b.first();
    await new Promise((resolve) => setImmediate(resolve));
    expect(b.proxy.status().streams).toHaveLength(1);
    const fresh = jwt(3_600);
    w.writeToken(fresh);
    expect(await envoy.ended).toMatchObject({ code: 14, text: expect.stringContaining("token ends soon") as string });
    b.connect();
    await eventually("the next stream", () => b.calls.length === 2);
    expect(b.calls.map(({ headers }) => headers["authorization"])).toEqual([`Bearer ${old}`, `Bearer ${fresh}`]);
  });

  test("so is one before its client certificate ends, and not for the same one again", async () => {
    writeFileSync(w.path("accepted"), "nobody's token");
    const strict = await world({ tokenFile: w.path("accepted") });
    ends.push(() => strict.done());
    strict.plane.setResources([{ typeUrl: typeUrls.cluster, name: "a", value: Buffer.from("value") }]);
    strict.writeToken("");
    const clientCertificate = { certificate: strict.path("c"), key: strict.path("k"), root: strict.path("r") };
    const give = (seconds: number): Date => {
      const to = new Date(Math.ceil(Date.now() / 1_000 + seconds) * 1_000);
      const authority = readAuthority((name) => strict.path(`ca/${name}.pem`));
      const pair = issuePair(authority, { uris: [identity] }, { from: new Date(Date.now() - 1_000), to });
      writeFileSync(clientCertificate.key, pair.key);
      writeFileSync(clientCertificate.certificate, pair.certificate);
      return to;
    };
    const config = strict.config({ xds: { ...strict.config().xds, clientCertificate } });
    const proxy = await startProxy(config, { patience: { beforeTokenEnd: 500 } });
    ends.push(() => proxy.close());
    const served = async (): Promise<RawEnvoy> => {
      const envoy = rawEnvoy(config.xdsSocket);
      ends.push(() => envoy.close());
      envoy.send(asks(typeUrls.cluster));
      await eventually("clusters", () => envoy.messages.length === 1);
      return envoy;
    };
    const end = give(2).getTime();
    const envoy = await served();
    await eventually("its certificate has ended, and several looks were taken", () => Date.now() > end + 1_500);
    expect(proxy.status().streams).toMatchObject([{ id: 1, state: "open" }]);
    give(3_600);
    expect(await envoy.ended).toMatchObject({
      code: 14,
      text: expect.stringContaining("certificate ends soon") as string,
    });
    await served();
  });

  test("nobody there: Envoy waits while we try, then hears why", async () => {
    const config = w.config({ xds: { ...w.config().xds, port: 1, tls: false } });
    const proxy = await startProxy(config, { patience: { hold: 500 } });
    ends.push(() => proxy.close());
    const envoy = rawEnvoy(config.xdsSocket);
    ends.push(() => envoy.close());
    expect(await envoy.ended).toMatchObject({
      code: 14,
      text: expect.stringMatching(/cannot reach the control plane at 127\.0\.0\.1:1: .*ECONNREFUSED/) as string,
    });
    expect(proxy.status().failures).toBeGreaterThan(1);
    expect(await proxy.probe()).toMatch(/ECONNREFUSED/);
  });

  test("a wrong root is said", async () => {
    const before = w.plane.rootCertificate();
    w.plane.replaceAuthority();
    w.writeRoot(before);
    const proxy = await startProxy(w.config(), { patience: { hold: 0 } });
    ends.push(() => proxy.close());
    const envoy = rawEnvoy(w.config().xdsSocket);
    ends.push(() => envoy.close());
    expect((await envoy.ended).text).toMatch(/certificate/);
    w.writeRoot(w.plane.rootCertificate());
    expect(await proxy.probe()).toBeUndefined();
  });
});

/** The embedded CA's own material. */
function readAuthority(pathOf: (name: string) => string): Authority {
  const read = (name: string): string => readFileSync(pathOf(name), "utf8");
  return {
    root: { certificate: read("root-cert"), key: read("root-key") },
    intermediate: { certificate: read("ca-cert"), key: read("ca-key") },
  };
}
