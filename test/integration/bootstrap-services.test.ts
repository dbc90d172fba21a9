import { spawn } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { request } from "node:https";
import { createServer, type Server } from "node:net";
import { dirname, join } from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import { renderBootstrap } from "../../src/bootstrap/render-bootstrap.ts";
import { issuePair, type KeyPair, makeAuthority } from "../../src/control-plane/certificate-authority.ts";
import { createGrpcServer, type GrpcServer, type MessageCall, messages } from "../../src/protocol/grpc-server.ts";
import {
  type DeltaDiscoveryRequest,
  type DiscoveryRequest,
  deltaDiscoveryRequest,
  deltaDiscoveryResponse,
  discoveryRequest,
  discoveryResponse,
  secret,
} from "../../src/protocol/messages.ts";
import { paths, typeUrls } from "../../src/protocol/names.ts";
import { podConfig } from "../bootstrap/config-fixture.ts";
import { eventually } from "../helpers/eventually.ts";
import { freePorts } from "../helpers/free-ports.ts";
import { envoy, temporaryFolder } from "../helpers/paths.ts";
import { ask } from "../helpers/proxy.ts";

const cleanUp: (() => unknown)[] = [];
afterEach(async () => {
  for (const undo of cleanUp.splice(0).toReversed()) await undo();
});

/** A gRPC server on a unix socket, made of what one path does. */
async function serve(path: string, route: Parameters<typeof createGrpcServer>[0]["route"]): Promise<void> {
  mkdirSync(dirname(path), { recursive: true });
  const grpc: GrpcServer = createGrpcServer({ route, onBug: (error) => expect(error).toBeUndefined() });
  const server: Server = createServer({ pauseOnConnect: true }, (socket) => grpc.accept(socket));
  await new Promise<void>((resolve) => server.listen(path, () => resolve()));
  cleanUp.push(() => {
    grpc.close();
    return new Promise((resolve) => server.close(resolve));
  });
}

/** A call whose messages are heard; its end is nobody's business here. */
const hearing = (hear: (call: MessageCall, bytes: Buffer) => void): ReturnType<typeof messages> =>
  messages(1_000_000, (call) => ({
    onMessage: (bytes) => hear(call, bytes),
    onEnd: () => undefined,
    onClose: () => undefined,
  }));

/** Starts Envoy in the folder, on what is rendered for these words and this environment. */
async function startEnvoy(folder: string, args: readonly string[], env: Readonly<Record<string, string>>) {
  const config = podConfig({ args: ["proxy", ...args], env });
  const { text, facts } = await renderBootstrap(config, {});
  const path = join(folder, "envoy-rev0.json");
  writeFileSync(path, text);
  const words = ["-c", path, "--disable-hot-restart", "-l", "error", "--concurrency", "1"];
  const child = spawn(envoy, words, { cwd: folder, stdio: ["ignore", "ignore", "ignore"] });
  const exited = new Promise((resolve) => child.once("exit", resolve));
  cleanUp.push(() => {
    child.kill("SIGKILL");
    return exited;
  });
  return { config, facts };
}

function folderOfTest(): string {
  const folder = temporaryFolder("services");
  cleanUp.push(folder.done);
  return folder.path;
}

describe("a real Envoy on the built-in bootstrap asks us", () => {
  test("for clusters and listeners over one delta stream, naming itself once, and is live on their answer", async () => {
    const folder = folderOfTest();
    const asked: DeltaDiscoveryRequest[] = [];
    await serve(join(folder, "proxy/XDS"), (path) =>
      path !== paths.deltaAggregated
        ? undefined
        : hearing((call, bytes) => {
            const message = deltaDiscoveryRequest.decode(bytes);
            asked.push(message);
            const { typeUrl, responseNonce } = message;
            if (responseNonce === "")
              call.send(deltaDiscoveryResponse.encode({ typeUrl, nonce: typeUrl, systemVersionInfo: "1" }));
          }),
    );
    const [admin = 0, readiness = 0, prometheus = 0] = await freePorts(3);
    const { config } = await startEnvoy(
      folder,
      ["sidecar", "--configPath", join(folder, "proxy"), "--proxyAdminPort", `${admin}`],
      { ENVOY_STATUS_PORT: `${readiness}`, ENVOY_PROMETHEUS_PORT: `${prometheus}` },
    );
    await eventually("Envoy is live", async () => (await ask({ port: admin }, "/ready")).status === 200);
    const first = asked.filter((one) => one.responseNonce === "");
    expect(first.map((one) => one.typeUrl)).toEqual([typeUrls.cluster, typeUrls.listener]);
    expect(asked[0]?.node).toMatchObject({ id: config.node.nodeId, cluster: config.node.cluster });
    expect(asked.slice(1).every((one) => one.node === null || one.node.id === "")).toBe(true);
  });

  test("by whole answers with ISTIO_DELTA_XDS=false", async () => {
    const folder = folderOfTest();
    const asked: DiscoveryRequest[] = [];
    await serve(join(folder, "proxy/XDS"), (path) =>
      path !== paths.streamAggregated
        ? undefined
        : hearing((call, bytes) => {
            const message = discoveryRequest.decode(bytes);
            asked.push(message);
            const { typeUrl, responseNonce } = message;
            if (responseNonce === "")
              call.send(discoveryResponse.encode({ typeUrl, nonce: typeUrl, versionInfo: "1" }));
          }),
    );
    const [admin = 0, readiness = 0, prometheus = 0] = await freePorts(3);
    await startEnvoy(folder, ["router", "--configPath", join(folder, "proxy"), "--proxyAdminPort", `${admin}`], {
      ENVOY_STATUS_PORT: `${readiness}`,
      ENVOY_PROMETHEUS_PORT: `${prometheus}`,
      ISTIO_DELTA_XDS: "false",
    });
    await eventually("Envoy is live", async () => (await ask({ port: admin }, "/ready")).status === 200);
    expect(new Set(asked.map((one) => one.typeUrl))).toEqual(new Set([typeUrls.cluster, typeUrls.listener]));
  });

  test("for the workload's certificate, by which the secure metrics are served to certificates of the mesh only", async () => {
    const folder = folderOfTest();
    const now = new Date();
    const valid = { from: new Date(now.getTime() - 60_000), to: new Date(now.getTime() + 3_600_000) };
    const authority = makeAuthority(now);
    const [mine, theirs] = [authority, makeAuthority(now)].map((ca) =>
      issuePair(ca, { uris: ["spiffe://a/b"] }, valid),
    );
    await serveSecrets(join(folder, "var/run/secrets/workload-spiffe-uds/socket"), mine, authority.root.certificate);
    await serve(join(folder, "proxy/XDS"), (path) =>
      path !== paths.deltaAggregated
        ? undefined
        : hearing((call, bytes) => {
            const { typeUrl, responseNonce } = deltaDiscoveryRequest.decode(bytes);
            if (responseNonce === "") call.send(deltaDiscoveryResponse.encode({ typeUrl, nonce: "1" }));
          }),
    );
    const [admin = 0, readiness = 0, prometheus = 0, secure = 0] = await freePorts(4);
    const { facts } = await startEnvoy(
      folder,
      ["sidecar", "--configPath", join(folder, "proxy"), "--proxyAdminPort", `${admin}`],
      {
        ENVOY_STATUS_PORT: `${readiness}`,
        ENVOY_PROMETHEUS_PORT: `${prometheus}`,
        ENVOY_SECURE_METRICS_PORT: `${secure}`,
        METRICS_LOCALHOST_ACCESS_ONLY: "true",
      },
    );
    expect(facts.secrets).toEqual(["ROOTCA", "default"]);
    await eventually("Envoy is live", async () => (await ask({ port: admin }, "/ready")).status === 200);
    const root = authority.root.certificate;
    expect(await scrape(secure, "/stats/prometheus", root, mine)).toMatchObject({ status: 200, cluster: true });
    expect((await scrape(secure, "/quitquitquit", root, mine)).status).toBe(404);
    await expect(scrape(secure, "/stats/prometheus", root, undefined)).rejects.toThrow();
    await expect(scrape(secure, "/stats/prometheus", root, theirs)).rejects.toThrow();
    await expect(ask({ port: secure }, "/stats/prometheus")).rejects.toThrow();
    expect((await ask({ port: prometheus }, "/stats/prometheus")).status).toBe(200);
  });
});

async function serveSecrets(path: string, pair: KeyPair | undefined, root: string): Promise<void> {
  const bytes = (text = "") => ({ inlineBytes: Buffer.from(text) });
  const value = (name: string): Buffer =>
    name === "ROOTCA"
      ? secret.encode({ name, validationContext: { trustedCa: bytes(root) } })
      : secret.encode({
          name,
          tlsCertificate: { certificateChain: bytes(pair?.certificate), privateKey: bytes(pair?.key) },
        });
  await serve(path, (method) =>
    method !== paths.streamSecrets
      ? undefined
      : hearing((call, message) => {
          const { typeUrl, resourceNames, responseNonce } = discoveryRequest.decode(message);
          if (responseNonce !== "") return;
          const resources = resourceNames.map((name) => ({ typeUrl, value: value(name) }));
          call.send(discoveryResponse.encode({ typeUrl, resources, versionInfo: "1", nonce: "1" }));
        }),
  );
}

/** One scrape over TLS; rejects when the other side closes. */
function scrape(
  port: number,
  path: string,
  ca: string,
  pair: KeyPair | undefined,
): Promise<{ readonly status: number; readonly cluster: boolean }> {
  return new Promise((resolve, reject) => {
    // A SPIFFE certificate names no host: who it is, is the mesh's root's word.
    const trust = { ca, checkServerIdentity: () => undefined };
    const client = pair === undefined ? {} : { cert: pair.certificate, key: pair.key };
    const outgoing = request({ host: "127.0.0.1", port, path, agent: false, ...trust, ...client }, (incoming) => {
      let body = "";
      incoming.setEncoding("utf8").on("data", (part: string) => {
        body += part;
      });
      incoming.once("error", reject);
      incoming.once("end", () =>
        resolve({ status: incoming.statusCode ?? 0, cluster: body.includes("cluster_name=") }),
      );
    });
    outgoing.once("error", reject);
    outgoing.end();
  });
}
