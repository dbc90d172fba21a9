import { execFileSync } from "node:child_process";
import { request as plainRequest } from "node:http";
import { request } from "node:https";
import { networkInterfaces } from "node:os";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { issuePair, type KeyPair, makeAuthority } from "../../src/control-plane/certificate-authority.ts";
import { type Whole, whole } from "../control-plane/whole.ts";
import { type App, startApp } from "../helpers/app.ts";
import { eventually } from "../helpers/eventually.ts";
import { freePorts } from "../helpers/free-ports.ts";
import { ask } from "../helpers/proxy.ts";
import { strictPage } from "../metrics/strict-page.ts";

/** An address of this machine that is not loopback: who uses it comes from outside, as far as anybody can tell. */
let outside = "";
let undo = (): void => undefined;
beforeAll(() => {
  const found = Object.values(networkInterfaces())
    .flat()
    .find((one) => one?.internal === false && one.family === "IPv4")?.address;
  if (found !== undefined) {
    outside = found;
    return;
  }
  // From the block for documentation; nobody else has it.
  outside = `198.51.100.${1 + (process.pid % 250)}`;
  const change = (how: string): void => void execFileSync("ip", ["address", how, `${outside}/32`, "dev", "lo"]);
  change("add");
  undo = () => change("del");
});
afterAll(() => undo());

let w: Whole;
let app: App;
let secureOwn = 0;
let secureMerged = 0;
beforeEach(async () => {
  w = await whole();
  app = await startApp(w.ports.app);
  [secureOwn = 0, secureMerged = 0] = await freePorts(2);
});
afterEach(async () => {
  await w.done();
  await app.close();
});

async function start(env: Record<string, string> = {}): Promise<void> {
  w.start({
    ENVOY_SECURE_METRICS_PORT: String(secureOwn),
    ENVOY_SECURE_MERGED_METRICS_PORT: String(secureMerged),
    ISTIO_PROMETHEUS_ANNOTATIONS: JSON.stringify({ scrape: "true", port: String(w.ports.app), path: "/metrics" }),
    ...env,
  });
  await eventually("ready", async () => (await w.ready()).status === 200);
}

interface Told {
  readonly status: number;
  readonly body: string;
}

/** One GET over TLS; rejects when the other side does not want us. */
function secure(port: number, path: string, trust: { readonly ca: string; readonly pair?: KeyPair }, method = "GET") {
  const pair = trust.pair === undefined ? {} : { cert: trust.pair.certificate, key: trust.pair.key };
  // A SPIFFE certificate names no host.
  const tls = { ca: trust.ca, checkServerIdentity: () => undefined, ...pair };
  return new Promise<Told>((resolve, reject) => {
    const outgoing = request({ host: outside, port, path, method, agent: false, ...tls }, (incoming) => {
      let body = "";
      incoming.setEncoding("utf8").on("data", (part: string) => {
        body += part;
      });
      incoming.once("end", () => resolve({ status: incoming.statusCode ?? 0, body }));
    });
    outgoing.setTimeout(10_000, () => outgoing.destroy(new Error("no answer in time")));
    outgoing.once("error", reject).end();
  });
}

/** A GET to loopback whose sender has this address. */
function from(localAddress: string, port: number, path: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const outgoing = plainRequest({ host: "127.0.0.1", port, path, localAddress, agent: false }, (incoming) => {
      incoming.resume().once("end", () => resolve(incoming.statusCode ?? 0));
    });
    outgoing.once("error", reject).end();
  });
}

const everybody = ["envoy_server_live", "app_requests_total", "istio_agent_scrapes_total"];
const expectMerged = ({ status, body }: Told): void => {
  expect(status).toBe(200);
  expect(strictPage(body, "text")).toEqual([]);
  for (const name of everybody) expect(body).toContain(`\n${name}`);
};

describe("who reaches the merged page", () => {
  test("everybody on the pod's network, by default", async () => {
    await start();
    for (const host of ["127.0.0.1", "::1", outside]) {
      expectMerged(await ask({ port: w.ports.status, host }, "/stats/prometheus"));
      expect((await ask({ port: w.ports.status, host }, "/metrics")).status).toBe(200);
    }
    expect((await ask({ port: w.ports.prometheus, host: outside }, "/stats/prometheus")).status).toBe(200);
  });

  test("METRICS_LOCALHOST_ACCESS_ONLY: this pod in the clear, the mesh over mutual TLS, and nobody else", async () => {
    await start({ METRICS_LOCALHOST_ACCESS_ONLY: "true" });
    const { status, prometheus } = w.ports;
    for (const host of ["127.0.0.1", "::1"]) expectMerged(await ask({ port: status, host }, "/stats/prometheus"));
    for (const path of ["/stats/prometheus", "/stats/prometheus?usedonly", "/metrics"]) {
      const answer = await ask({ port: status, host: outside }, path);
      expect(answer.status).toBe(403);
      expect(answer.body).not.toMatch(/envoy_|istio_agent_|app_/);
    }
    // Envoy's inbound side: whoever is behind it came from outside.
    expect(await from("127.0.0.6", status, "/stats/prometheus")).toBe(403);
    // Envoy's own port is not even there; readiness still is, for the kubelet.
    expect((await ask({ port: prometheus }, "/stats/prometheus")).status).toBe(200);
    await expect(ask({ port: prometheus, host: outside }, "/stats/prometheus")).rejects.toThrow("ECONNREFUSED");
    expect((await ask({ port: w.ports.readiness, host: outside }, "/healthz/ready")).status).toBe(200);
    // And from outside, with a certificate of the mesh, the merged page.
    const mesh = await meshMember();
    expectMerged(await secure(secureMerged, "/stats/prometheus", mesh));
    expectMerged(await secure(secureMerged, "/stats/prometheus?filter=server", mesh));
  });

  test("the listeners over mutual TLS: one path, to be read, for members of the mesh", async () => {
    await start();
    const mesh = await meshMember();
    const envoyOnly = await secure(secureOwn, "/stats/prometheus", mesh);
    expect(envoyOnly.status).toBe(200);
    expect(envoyOnly.body).toContain("\nenvoy_server_live");
    expect(envoyOnly.body).not.toMatch(/^(istio_agent|pilotfish|app)_/m);
    expectMerged(await secure(secureMerged, "/stats/prometheus", mesh));
    const stranger = issuePair(makeAuthority(new Date()), { uris: ["spiffe://cluster.local/ns/ns/sa/x"] }, validNow());
    for (const port of [secureOwn, secureMerged]) {
      for (const path of ["/", "/metrics", "/healthz/ready", "/quitquitquit", "/stats/prometheus/x", "/status"])
        expect([path, (await secure(port, path, mesh)).status]).toEqual([path, 404]);
      expect((await secure(port, "/stats/prometheus", mesh, "POST")).status).toBe(404);
      await expect(secure(port, "/stats/prometheus", { ca: mesh.ca })).rejects.toThrow();
      await expect(secure(port, "/stats/prometheus", { ca: mesh.ca, pair: stranger })).rejects.toThrow();
      await expect(ask({ port, host: outside }, "/stats/prometheus")).rejects.toThrow();
    }
  });
});

const validNow = () => ({ from: new Date(Date.now() - 60_000), to: new Date(Date.now() + 3_600_000) });

/** Another workload of the mesh, as Prometheus is with a certificate of its own. */
async function meshMember(): Promise<{ readonly ca: string; readonly pair: KeyPair }> {
  const client = await w.client();
  const [current, ca] = [client.current(), client.roots()];
  if (current === undefined || ca === undefined) throw new Error("the client has no certificate");
  return { ca, pair: { certificate: String(current.chain), key: String(current.key.pem()) } };
}
