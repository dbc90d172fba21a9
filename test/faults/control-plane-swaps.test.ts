import { mkdirSync, readdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { requestCertificate } from "../../src/identity/ca-client.ts";
import { makePrivateKey } from "../../src/identity/private-key.ts";
import { signingRequest } from "../../src/identity/signing-request.ts";
import { realClock } from "../../src/system/clock.ts";
import { load, resourcesOf, type Whole, whole } from "../control-plane/whole.ts";
import { eventually } from "../helpers/eventually.ts";
import { identity, type World, world } from "../identity/harness.ts";
import { mtlsListener } from "../sds/real-envoy.ts";

/** Files as the kubelet mounts them: plain names are links through ..data, which is turned by one rename. */
class Mount {
  readonly path: string;
  #generation = 0;

  constructor(path: string) {
    this.path = path;
    mkdirSync(path, { recursive: true });
  }

  swap(files: Readonly<Record<string, string>>): void {
    const [old, fresh] = [`..${this.#generation}`, `..${++this.#generation}`];
    mkdirSync(join(this.path, fresh));
    for (const [name, text] of Object.entries(files)) writeFileSync(join(this.path, fresh, name), text);
    symlinkSync(fresh, join(this.path, "..data_tmp"));
    renameSync(join(this.path, "..data_tmp"), join(this.path, "..data"));
    for (const name of Object.keys(files))
      if (!readdirSync(this.path).includes(name)) symlinkSync(`..data/${name}`, join(this.path, name));
    rmSync(join(this.path, old), { recursive: true, force: true });
  }
}

describe("the token", () => {
  let w: World;
  beforeEach(async () => {
    w = await world();
  });
  afterEach(() => w.done());

  test("is swapped 50 times, and each call carries the one of its time", async () => {
    const mount = new Mount(w.path("tokens"));
    const accepted = w.path("accepted");
    const strict = await world({ tokenFile: accepted });
    try {
      const config = w.config({
        tokenPath: join(mount.path, "istio-token"),
        ca: { ...w.config().ca, port: strict.plane.tlsPort ?? 0, roots: [strict.path("run/root-cert.pem")] },
      });
      const key = await makePrivateKey({ type: "ecdsa", curve: "P256" }, true);
      for (let n = 0; n < 50; n++) {
        mount.swap({ "istio-token": `token-${n}` });
        writeFileSync(accepted, `token-${n}`);
        expect(await requestCertificate(config, signingRequest(key, identity), realClock)).toMatchObject({ ok: true });
      }
    } finally {
      await strict.done();
    }
  });
});

/** An application that never ends a connection, and counts those that came and those that went. */
async function countingApp() {
  const seen = { accepted: 0, closed: 0 };
  const server = createServer((_request, response) => response.end("hello"));
  server.keepAliveTimeout = 0;
  server.on("connection", (socket) => {
    seen.accepted += 1;
    socket.once("close", () => {
      seen.closed += 1;
    });
  });
  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
  const close = (): Promise<void> =>
    new Promise((resolve) => {
      server.close(() => resolve());
      server.closeAllConnections();
    });
  return { port: (server.address() as AddressInfo).port, seen, close };
}

/** The mTLS listener with a route to the application instead of an answer of its own. */
function toApplication(listener: number, port: number): string {
  const address = { socket_address: { address: "127.0.0.1", port_value: port } };
  const endpoints = [{ lb_endpoints: [{ endpoint: { address } }] }];
  const cluster = { "@type": "type.googleapis.com/envoy.config.cluster.v3.Cluster", name: "application" };
  const { resources } = JSON.parse(resourcesOf(mtlsListener(listener))) as { resources: object[] };
  const assignment = { type: "STATIC", load_assignment: { cluster_name: "application", endpoints } };
  return JSON.stringify({ resources: [...resources, { ...cluster, ...assignment }] }).replace(
    /"direct_response":\{.*?\}\}/,
    '"route":{"cluster":"application"}',
  );
}

describe("the root", () => {
  let w: Whole;
  let app: Awaited<ReturnType<typeof countingApp>>;
  beforeEach(async () => {
    w = await whole();
    app = await countingApp();
  });
  afterEach(async () => {
    await w.done();
    await app.close();
  });

  test("old, both, new: connections are kept and no request fails", async () => {
    const { plane } = w.world;
    plane.setFaults({ lifetime: 12_000 });
    writeFileSync(w.resources, toApplication(w.ports.listener, app.port));
    const run = w.start();
    await eventually("ready", async () => (await w.ready()).status === 200);
    const client = await w.client();
    let done = false;
    const loading = load(w.ports.listener, client, () => done);
    const write = (): void => {
      run.write("var/run/secrets/istio/root-cert.pem", plane.rootCertificate());
      w.world.writeRoot(plane.rootCertificate());
    };
    /** Both workloads have asked twice: what was announced before has arrived everywhere. */
    const bothRotated = async (what: string): Promise<void> => {
      const before = plane.status().issued;
      await eventually(what, () => plane.status().issued >= before + 4, 90_000);
    };
    plane.announceNextRoot();
    write();
    await bothRotated("both roots are known everywhere");
    plane.replaceAuthority();
    write();
    await bothRotated("everybody's certificate is the new root's");
    plane.forgetFormerRoots();
    write();
    await bothRotated("the new root alone");
    done = true;
    const { sent, failures, sentOnKept, keptConnections } = await loading;
    expect(failures).toEqual([]);
    expect(sent).toBeGreaterThan(100);
    // The client's connection is the one of the start, and so are all of Envoy's to the application.
    expect(sentOnKept).toBeGreaterThan(50);
    expect(keptConnections).toBe(1);
    expect(app.seen.closed).toBe(0);
    expect(app.seen.accepted).toBeLessThanOrEqual(3);
    // Neither Envoy's stream to us nor ours to the control plane was renewed: a root changes none that is there.
    expect(run.output.match(/Envoy asks for its configuration/g)).toHaveLength(1);
    expect(run.output).not.toContain("stream ended");
    expect((await w.held()).discoveryStreams).toBe(1);
    expect((await w.ready()).status).toBe(200);
    expect(client.roots()?.includes(plane.rootCertificate().trim())).toBe(true);
  });
});
