import { connect, createServer, type Socket } from "node:net";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { framed } from "../../src/protocol/grpc-status.ts";
import { discoveryResponse } from "../../src/protocol/messages.ts";
import { typeUrls } from "../../src/protocol/names.ts";
import { eventually } from "../helpers/eventually.ts";
import { type World, world } from "../identity/harness.ts";
import { asks, between, sha, standsStill } from "../xds/between.ts";
import { startProxy } from "../xds/proxy-harness.ts";
import { rawEnvoy } from "../xds/wire.ts";

/* A control plane that is slow, that freezes, that hangs up in the middle: who waits for whom, and for how long. */

let w: World;
const ends: (() => unknown)[] = [];
beforeEach(async () => {
  w = await world();
  ends.push(() => w.done());
});
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

/** A wire that can be frozen: nothing passes any more, and nothing is closed. */
async function relay(to: number) {
  const sockets = new Set<Socket>();
  const server = createServer((near) => {
    const far = connect(to, "127.0.0.1");
    for (const one of [near, far]) {
      sockets.add(one);
      one.on("error", () => undefined);
      one.once("close", () => {
        sockets.delete(one);
        (one === near ? far : near).destroy();
      });
    }
    near.pipe(far).pipe(near);
  });
  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
  ends.push(() => {
    for (const one of sockets) one.destroy();
    return new Promise((resolve) => server.close(resolve));
  });
  const address = server.address();
  return {
    port: typeof address === "object" && address !== null ? address.port : 0,
    freeze: () => {
      for (const one of sockets) one.unpipe().pause();
    },
    /** Reads on without passing anything: only now an end that came meanwhile is seen. */
    look: () => {
      for (const one of sockets) one.resume();
    },
    sockets: () => sockets.size,
  };
}

describe("a control plane that does not read", () => {
  test("Envoy has to wait; then all that it wrote arrives, in order", async () => {
    const b = await between(w, ends, {}, (call) => call.stream.pause());
    const envoy = b.connect();
    const call = await b.first();
    const sent = Array.from({ length: 12 }, (_, n) =>
      asks(typeUrls.endpoint, { resourceNames: [String(n), "x".repeat(5_000_000)] }),
    );
    for (const one of sent) envoy.stream.write(framed(one));
    // Windows of a few MB lie between; 60 MB would mean that we keep what nobody reads.
    expect(await standsStill(() => envoy.session.socket?.bytesWritten ?? 0)).toBeLessThan(15_000_000);
    call.stream.resume();
    await eventually("all twelve", () => b.requests.length === sent.length, 60_000);
    expect(b.requests.map(sha)).toEqual(sent.map(sha));
  }, 90_000);
});

describe("a wire that freezes", () => {
  test("is found by pings: the stream ends with the reason, and the connection is gone", async () => {
    const b = await between(w, ends, {}, (call) =>
      call.stream.write(framed(discoveryResponse.encode({ typeUrl: typeUrls.cluster, nonce: "1" }))),
    );
    const wire = await relay(b.upstream.port);
    const config = w.config({
      xds: { ...w.config().xds, port: wire.port, tls: false },
      xdsSocket: w.path("frozen/XDS"),
      keepalive: { interval: 200, timeout: 300 },
    });
    const proxy = await startProxy(config);
    ends.push(() => proxy.close());
    const envoy = rawEnvoy(config.xdsSocket);
    ends.push(() => envoy.close());
    envoy.send(asks(typeUrls.cluster));
    await eventually("an answer", () => envoy.messages.length === 1);
    // Answered pings keep it: many rounds go by.
    const until = performance.now() + 1_500;
    await eventually("three rounds", () => performance.now() > until);
    expect(proxy.status().streams).toMatchObject([{ state: "open" }]);
    wire.freeze();
    expect(await envoy.ended).toMatchObject({
      code: 14,
      text: expect.stringContaining("no answer to a ping within 300 ms") as string,
    });
    wire.look();
    await eventually("nothing is left", () => proxy.status().streams.length === 0 && wire.sockets() === 0);
  });
});

describe("a control plane that hangs up in the middle of a message", () => {
  test.each([10, 100_000, 3_000_000])(
    "after %i bytes: Envoy gets no half message, and the next stream all",
    async (dropAfter) => {
      w.plane.setResources([{ typeUrl: typeUrls.cluster, name: "a", value: Buffer.alloc(5_000_000, 1) }]);
      w.plane.setFaults({ dropAfter });
      const config = w.config();
      const proxy = await startProxy(config, { patience: { hold: 20_000 } });
      ends.push(() => proxy.close());
      const ask = () => {
        const envoy = rawEnvoy(config.xdsSocket);
        ends.push(() => envoy.close());
        envoy.send(asks(typeUrls.cluster));
        return envoy;
      };
      const cut = ask();
      expect(await cut.ended).toMatchObject({ code: 14, text: expect.stringContaining("was lost") as string });
      expect(cut.messages).toEqual([]);
      w.plane.setFaults({});
      const whole = ask();
      await eventually("the whole message", () => whole.messages.length === 1);
      expect(whole.messages[0]?.length).toBeGreaterThan(5_000_000);
      await eventually("one stream", () => proxy.status().streams.length === 1);
    },
  );
});
