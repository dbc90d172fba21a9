import {
  Client,
  credentials,
  type handleBidiStreamingCall,
  Metadata,
  Server,
  ServerCredentials,
  status,
} from "@grpc/grpc-js";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { makePrivateKey } from "../../src/identity/private-key.ts";
import { signingRequest } from "../../src/identity/signing-request.ts";
import {
  certificateRequest,
  certificateResponse,
  discoveryRequest,
  discoveryResponse,
} from "../../src/protocol/messages.ts";
import { paths, typeUrls } from "../../src/protocol/names.ts";
import { eventually } from "../helpers/eventually.ts";
import { identity, type World, world } from "../identity/harness.ts";
import { startProxy } from "../xds/proxy-harness.ts";
import { rawEnvoy } from "../xds/wire.ts";

/* Our own gRPC layer against another implementation of the protocol, in both roles. */

let w: World;
const ends: (() => unknown)[] = [];
beforeEach(async () => {
  w = await world();
  ends.push(() => w.done());
});
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

const raw = (bytes: Buffer): Buffer => bytes;
const definition = {
  stream: {
    path: paths.streamAggregated,
    requestStream: true,
    responseStream: true,
    requestSerialize: raw,
    requestDeserialize: raw,
    responseSerialize: raw,
    responseDeserialize: raw,
  },
} as const;

async function grpcUpstream(handler: handleBidiStreamingCall<Buffer, Buffer>): Promise<number> {
  const server = new Server();
  server.addService(definition, { stream: handler });
  ends.push(() => server.forceShutdown());
  return new Promise((resolve, reject) => {
    server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, port) =>
      error === null ? resolve(port) : reject(error),
    );
  });
}

async function proxyBefore(port: number) {
  const config = w.config({ xds: { ...w.config().xds, port, tls: false } });
  const proxy = await startProxy(config);
  ends.push(() => proxy.close());
  const envoy = rawEnvoy(config.xdsSocket);
  ends.push(() => envoy.close());
  return { proxy, envoy };
}

describe("the ADS proxy before a grpc-js server", () => {
  test("messages of many sizes, metadata, status and message of the end", async () => {
    const seen: Buffer[] = [];
    let metadata: Record<string, unknown> = {};
    const port = await grpcUpstream((call) => {
      metadata = call.metadata.getMap();
      call.on("data", (message: Buffer) => {
        seen.push(message);
        if (seen.length < 4) call.write(message);
        else call.emit("error", { code: status.RESOURCE_EXHAUSTED, details: "enough, really" });
      });
    });
    const { proxy, envoy } = await proxyBefore(port);
    const sent = [10, 70_000, 3_000_000, 1].map((size) =>
      discoveryRequest.encode({ typeUrl: typeUrls.cluster, resourceNames: ["x".repeat(size)] }),
    );
    for (const one of sent) envoy.send(one);
    expect(await envoy.ended).toEqual({ code: 8, text: "enough, really" });
    expect(seen).toEqual(sent);
    expect(envoy.messages).toHaveLength(3);
    expect(metadata).toMatchObject({ authorization: "Bearer a-token", clusterid: "Kubernetes" });
    await eventually("nothing left", () => proxy.status().streams.length === 0);
  });

  test("a method that it does not have", async () => {
    const server = new Server();
    ends.push(() => server.forceShutdown());
    const port = await new Promise<number>((resolve) => {
      server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (_error, bound) => resolve(bound));
    });
    const { envoy } = await proxyBefore(port);
    envoy.send(discoveryRequest.encode({ typeUrl: typeUrls.cluster }));
    expect(await envoy.ended).toMatchObject({ code: 12 });
  });
});

describe("a grpc-js client before our servers", () => {
  const client = (port: number | undefined): Client => {
    const one = new Client(`127.0.0.1:${port}`, credentials.createInsecure());
    ends.push(() => one.close());
    return one;
  };

  test("the embedded CA, unary: an answer, and a refusal with its words", async () => {
    const key = await makePrivateKey({ type: "ecdsa", curve: "P256" }, true);
    const ask = (csr: string) =>
      new Promise((resolve) => {
        client(w.plane.plainPort).makeUnaryRequest(
          paths.createCertificate,
          certificateRequest.encode,
          certificateResponse.decode,
          { csr, validityDuration: 600 },
          new Metadata(),
          (error, answer) => resolve(error === null ? answer?.certChain.length : `${error.code}: ${error.details}`),
        );
      });
    expect(await ask(signingRequest(key, identity))).toBe(3);
    expect(await ask("nonsense")).toBe("3: cannot sign: the request is not PEM");
  });

  test("embedded ADS, streaming: responses, and an orderly end", async () => {
    w.plane.setResources([{ typeUrl: typeUrls.cluster, name: "a", value: Buffer.from("value") }]);
    const call = client(w.plane.plainPort).makeBidiStreamRequest(paths.streamAggregated, raw, raw);
    const got: Buffer[] = [];
    call.on("data", (message: Buffer) => got.push(message));
    const ended = new Promise<number>((resolve) => call.on("status", ({ code }) => resolve(code)));
    call.write(discoveryRequest.encode({ typeUrl: typeUrls.cluster }));
    await eventually("a response", () => got.length === 1);
    expect(discoveryResponse.decode(got[0] ?? Buffer.alloc(0)).resources).toHaveLength(1);
    call.end();
    expect(await ended).toBe(0);
  });

  test("through the proxy's unix socket", async () => {
    w.plane.setResources([{ typeUrl: typeUrls.cluster, name: "a", value: Buffer.from("value") }]);
    const config = w.config();
    const proxy = await startProxy(config);
    ends.push(() => proxy.close());
    const one = new Client(`unix:${config.xdsSocket}`, credentials.createInsecure());
    ends.push(() => one.close());
    const call = one.makeBidiStreamRequest(paths.streamAggregated, raw, raw);
    const got: Buffer[] = [];
    call.on("data", (message: Buffer) => got.push(message));
    call.on("error", () => undefined);
    call.write(discoveryRequest.encode({ typeUrl: typeUrls.cluster }));
    await eventually("a response", () => got.length === 1);
    call.end();
    await eventually("nothing left", () => proxy.status().streams.length === 0);
  });
});
