import { execFile, execFileSync, spawnSync } from "node:child_process";
import { mkdirSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { Agent, request } from "node:https";
import { createServer } from "node:net";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { issuePair, makeAuthority } from "../../src/control-plane/certificate-authority.ts";
import { noLog } from "../../src/foundation/log.ts";
import { noIdentityMetrics } from "../../src/identity/identity-metrics.ts";
import { createWorkloadIdentity, type WorkloadIdentity } from "../../src/identity/workload-identity.ts";
import { createSdsServer, type SdsServer } from "../../src/sds/sds-server.ts";
import { realClock } from "../../src/system/clock.ts";
import { eventually } from "../helpers/eventually.ts";
import { freePorts } from "../helpers/free-ports.ts";
import { identity as ourName, type World, world } from "../identity/harness.ts";
import { adminOn, mtlsListener, pipeCluster, type RealEnvoy, startEnvoy } from "../sds/real-envoy.ts";

let w: World;
const ends: (() => Promise<void>)[] = [];
beforeEach(async () => {
  w = await world();
  ends.push(() => w.done());
});
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

async function agent(
  changes: Parameters<World["config"]>[0] = {},
): Promise<{ identity: WorkloadIdentity; sds: SdsServer }> {
  const config = w.config(changes);
  const identity = createWorkloadIdentity({
    config,
    clock: realClock,
    random: Math.random,
    log: noLog,
    metrics: noIdentityMetrics,
  });
  const sds = createSdsServer({
    settings: config.sds,
    identity,
    clock: realClock,
    debounce: config.fileDebounce,
    log: noLog,
    onFileFailure: () => undefined,
    onBug: (error) => {
      throw error;
    },
  });
  await sds.listen();
  ends.push(
    () => identity.stop(),
    () => sds.close(),
  );
  return { identity, sds };
}

async function envoyWith(listener: (port: number) => object): Promise<{ envoy: RealEnvoy; port: number }> {
  const [port = 0] = await freePorts(1);
  const envoy = await startEnvoy(w.folder, "envoy", (admin) => ({
    admin: adminOn(admin),
    static_resources: { listeners: [listener(port)], clusters: [pipeCluster("sds-grpc", w.config().sds.socket)] },
  }));
  ends.push(() => envoy.stop());
  return { envoy, port };
}

/** One request with a client certificate on a fresh connection. */
function ask(
  port: number,
  client: { chain: string; key: Buffer; roots: string },
): Promise<{ status: number; serial: string }> {
  return new Promise((resolve, reject) => {
    const sent = request(
      {
        host: "127.0.0.1",
        port,
        ca: client.roots,
        cert: client.chain,
        key: client.key,
        agent: false,
        checkServerIdentity: () => undefined,
        timeout: 5_000,
      },
      (answer) => {
        const serial = (answer.socket as import("node:tls").TLSSocket).getPeerCertificate().serialNumber.toLowerCase();
        answer.resume().once("end", () => resolve({ status: answer.statusCode ?? 0, serial }));
      },
    );
    sent.once("error", reject);
    sent.end();
  });
}

/** Requests on one connection; `localPort` tells whether it is still the same. */
function keptConnection(port: number, client: { chain: string; key: Buffer; roots: string }) {
  const { chain: cert, key, roots: ca } = client;
  const agent = new Agent({
    keepAlive: true,
    maxSockets: 1,
    ...{ cert, key, ca, checkServerIdentity: () => undefined },
  });
  const ask = (): Promise<{ status: number; localPort: number }> =>
    new Promise((resolve, reject) => {
      const sent = request({ host: "127.0.0.1", port, agent, timeout: 5_000 }, (answer) => {
        const { localPort = 0 } = answer.socket;
        answer.resume().once("end", () => resolve({ status: answer.statusCode ?? 0, localPort }));
      });
      sent.once("error", reject);
      sent.end();
    });
  return { ask, close: () => agent.destroy() };
}

const clientOf = (identity: WorkloadIdentity) => ({
  chain: identity.current()?.chain ?? "",
  key: identity.current()?.key.pem() ?? Buffer.alloc(0),
  roots: identity.roots() ?? "",
});

describe("SDS and a real Envoy", () => {
  test.each(["GRPC", "DELTA_GRPC"])(
    "an mTLS listener over %s, and rotations without a failed request",
    async (apiType) => {
      w.plane.setFaults({ lifetime: 8_000 });
      const { identity, sds } = await agent();
      const { envoy, port } = await envoyWith((at) => mtlsListener(at, apiType));
      expect(sds.status().connections).toBeLessThanOrEqual(2);
      // Envoy asks before there is anything: the answer comes when the certificate does.
      identity.start();
      await eventually("hello over mTLS", async () => (await ask(port, clientOf(identity))).status === 200);
      expect(await envoy.get("/certs")).toContain(ourName);
      await eventually("both names taken", () => sds.status().acked.has("default") && sds.status().acked.has("ROOTCA"));
      expect(sds.status().nacks).toEqual([]);
      const serials = new Set<string>();
      let failed = 0;
      await eventually("three certificates in use", async () => {
        try {
          serials.add((await ask(port, clientOf(identity))).serial);
        } catch {
          failed += 1;
        }
        return serials.size >= 3;
      });
      expect(failed).toBe(0);
    },
  );

  test("a client without a certificate of ours is refused, one of another root too", async () => {
    const { identity } = await agent();
    identity.start();
    const { port } = await envoyWith((at) => mtlsListener(at));
    await eventually("hello over mTLS", async () => (await ask(port, clientOf(identity))).status === 200);
    const stranger = issuePair(
      makeAuthority(new Date()),
      { uris: [ourName] },
      { from: new Date(Date.now() - 1e3), to: new Date(Date.now() + 1e6) },
    );
    await expect(
      ask(port, { chain: stranger.certificate, key: Buffer.from(stranger.key), roots: identity.roots() ?? "" }),
    ).rejects.toThrow();
  });

  test("a secret that Envoy refuses is said, in its words", async () => {
    const { sds } = await agent({ source: { kind: "files", files: [] } });
    const rsa = (name: string, bits: number): void => {
      execFileSync(
        "openssl",
        [
          "req",
          "-x509",
          "-newkey",
          `rsa:${bits}`,
          "-nodes",
          "-keyout",
          w.path(`${name}.key`),
          "-out",
          w.path(`${name}.pem`),
          "-subj",
          "/CN=x",
          "-days",
          "2",
        ],
        { stdio: "ignore" },
      );
    };
    rsa("weak", 1024);
    rsa("root", 2048);
    const name = `file-cert:${w.path("weak.pem")}~${w.path("weak.key")}`;
    const { envoy } = await envoyWith((at) => mtlsListener(at, "GRPC", name, `file-root:${w.path("root.pem")}`));
    await eventually("the refusal", () => sds.status().nacks.some(({ text }) => /RSA/i.test(text)));
    rsa("weak", 2048);
    await eventually("the better one is taken", () => sds.status().nacks.length === 0);
    expect(await envoy.get("/certs")).toContain("serial_number");
  });

  test("Kubernetes swaps mounted files 50 times: every pair arrives, no mixed pair does, connections are kept", async () => {
    const authority = makeAuthority(new Date());
    const mount = w.path("mounted");
    mkdirSync(mount);
    let old: string | undefined;
    const swap = (n: number): string => {
      const pair = issuePair(
        authority,
        { uris: [ourName] },
        { from: new Date(Date.now() - 1e3), to: new Date(Date.now() + 1e7) },
      );
      const fresh = `${mount}/..data_${n}`;
      mkdirSync(fresh);
      writeFileSync(`${fresh}/cert-chain.pem`, pair.certificate);
      writeFileSync(`${fresh}/key.pem`, pair.key);
      writeFileSync(`${fresh}/root-cert.pem`, authority.root.certificate);
      rmSync(`${mount}/..data_tmp`, { force: true });
      symlinkSync(`..data_${n}`, `${mount}/..data_tmp`);
      execFileSync("mv", ["-T", `${mount}/..data_tmp`, `${mount}/..data`]);
      if (old === undefined)
        for (const file of ["cert-chain.pem", "key.pem", "root-cert.pem"])
          symlinkSync(`..data/${file}`, `${mount}/${file}`);
      else rmSync(old, { recursive: true });
      old = fresh;
      return pair.certificate;
    };
    swap(0);
    const files = { certificate: `${mount}/cert-chain.pem`, key: `${mount}/key.pem`, root: `${mount}/root-cert.pem` };
    const { identity, sds } = await agent({ source: { kind: "files", files: [files] } });
    identity.start();
    const { envoy, port } = await envoyWith((at) => mtlsListener(at));
    await eventually("the first pair in Envoy", () => sds.status().acked.has("default"));
    const kept = keptConnection(port, clientOf(identity));
    ends.push(async () => kept.close());
    await eventually("hello on a connection that is kept", async () => (await kept.ask()).status === 200);
    const first = await kept.ask();
    const { streams, connections } = sds.status();
    for (let n = 1; n <= 50; n++) {
      const chain = swap(n);
      await eventually(`swap ${n}`, () => identity.current()?.chain === chain);
      expect(await kept.ask()).toEqual(first);
    }
    expect(sds.status()).toMatchObject({ streams, connections });
    await eventually("the last serial number in Envoy", async () =>
      (await envoy.get("/certs")).includes(identity.current()?.serialNumber ?? "?"),
    );
    expect(sds.status().nacks).toEqual([]);
  });

  test("a key that does not match is not pushed: the old pair stays and it is said", async () => {
    const authority = makeAuthority(new Date());
    const pair = () =>
      issuePair(authority, { uris: [ourName] }, { from: new Date(Date.now() - 1e3), to: new Date(Date.now() + 1e7) });
    const [first, second] = [pair(), pair()];
    const files = { certificate: w.path("c.pem"), key: w.path("k.pem"), root: w.path("r.pem") };
    writeFileSync(files.certificate, first.certificate);
    writeFileSync(files.key, first.key);
    writeFileSync(files.root, authority.root.certificate);
    const { identity } = await agent({ source: { kind: "files", files: [files] } });
    identity.start();
    expect(identity.current()?.chain).toBe(first.certificate);
    writeFileSync(files.certificate, second.certificate);
    await eventually("the complaint", () => identity.status().reason.includes("belongs to another certificate"));
    expect(identity.current()?.chain).toBe(first.certificate);
    writeFileSync(files.key, second.key);
    await eventually("the new pair", () => identity.current()?.chain === second.certificate);
    expect(identity.status()).toMatchObject({ state: "valid", reason: "" });
  });
});

describe("who may ask", () => {
  test("the socket and its directory keep others out", async () => {
    await agent();
    const { socket } = w.config().sds;
    expect(statSync(socket).mode & 0o777).toBe(0o600);
    expect(statSync(socket.replace(/\/socket$/, "")).mode & 0o777).toBe(0o700);
  });

  test.skipIf(process.getuid?.() !== 0)("another uid is turned away though it can reach the socket", async () => {
    const { sds } = await agent({
      sds: { socket: w.path("open/socket"), filesSocket: w.path("f/socket"), uids: [4321] },
    });
    execFileSync("chmod", ["711", w.folder]);
    const script =
      `const s=require("net").connect(${JSON.stringify(w.path("open/socket"))});` +
      `s.on("connect",()=>s.write("PRI * HTTP/2.0\\r\\n\\r\\nSM\\r\\n\\r\\n\\0\\0\\0\\4\\0\\0\\0\\0\\0"));` +
      `s.on("data",()=>{console.log("served");s.destroy()});s.on("end",()=>console.log("ended"));s.on("error",(e)=>console.log(e.code))`;
    const beside = (uid: number): Promise<string> =>
      new Promise((resolve) => {
        const who = [`--reuid=${uid}`, `--regid=${uid}`, "--clear-groups"];
        execFile("setpriv", [...who, process.execPath, "-e", script], (_error, out) => resolve(out.trim()));
      });
    expect(await beside(4321)).toBe("served");
    expect(await beside(4322)).not.toBe("served");
    expect(sds.status().turnedAway).toBe(1);
  });

  test("an SDS that answers already is used: ours moves to the files socket", async () => {
    const { socket, filesSocket } = w.config().sds;
    mkdirSync(w.path("sds"));
    const spire = createServer();
    await new Promise<void>((resolve) => {
      spire.listen(socket, resolve);
    });
    try {
      const { sds } = await agent();
      expect(sds.status()).toMatchObject({ mode: "external", socket: filesSocket });
    } finally {
      spire.close();
    }
  });

  test("a socket file that a dead process left is taken over", async () => {
    mkdirSync(w.path("sds"));
    const { socket } = w.config().sds;
    spawnSync(process.execPath, [
      "-e",
      `require("net").createServer().listen(${JSON.stringify(socket)}, () => process.kill(process.pid, "SIGKILL"))`,
    ]);
    expect(statSync(socket).isSocket()).toBe(true);
    const { sds } = await agent();
    expect(sds.status()).toMatchObject({ mode: "own", socket });
  });
});
