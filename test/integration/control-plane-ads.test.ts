import { spawn } from "node:child_process";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { eventually } from "../helpers/eventually.ts";
import { freePorts } from "../helpers/free-ports.ts";
import { pilotfish, root, temporaryFolder } from "../helpers/paths.ts";
import { type World, world } from "../identity/harness.ts";
import { startEnvoy } from "../sds/real-envoy.ts";
import { adsBootstrap, plainResources } from "../xds/ads-bootstrap.ts";
import { startProxy } from "../xds/proxy-harness.ts";

let w: World;
let port: number;
const ends: (() => unknown)[] = [];
const descriptors = (): string => readFileSync(join(root, "dist/envoy-descriptors.json"), "utf8");

beforeEach(async () => {
  [port = 0] = await freePorts(1);
  const resources = temporaryFolder("resources");
  ends.push(resources.done);
  folder = resources.path;
  writeFileSync(join(folder, "plain.yaml"), plainResources(port, "one"));
  w = await world({ resources: folder, descriptors });
  ends.push(() => w.done());
});
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});
let folder: string;

const body = async (at = port): Promise<string> =>
  (await fetch(`http://127.0.0.1:${at}/`, { headers: { connection: "close" } })).text();

async function proxied(apiType: "GRPC" | "DELTA_GRPC") {
  const config = w.config();
  const proxy = await startProxy(config);
  ends.push(() => proxy.close());
  const envoy = await startEnvoy(w.folder, "envoy", adsBootstrap(config.xdsSocket, config.sds.socket, apiType));
  ends.push(() => envoy.stop());
  return { proxy, envoy, config };
}

describe("a real Envoy, the ADS proxy and the embedded control plane", () => {
  test.each(["GRPC", "DELTA_GRPC"] as const)(
    "%s: clusters and listeners arrive, changes follow, a removal too",
    async (apiType) => {
      const { proxy, envoy } = await proxied(apiType);
      await eventually("one", async () => (await body()) === "one");
      const [stream] = proxy.status().streams;
      expect(stream).toMatchObject({
        state: "open",
        receivedClusters: true,
        receivedListeners: true,
        reason: "",
        pid: envoy.pid,
      });
      writeFileSync(join(folder, "plain.yaml"), plainResources(port, "two"));
      await eventually("two", async () => (await body()) === "two");
      await eventually("taken", () => {
        const lds = proxy.status().streams[0]?.types.find(({ type }) => type === "LDS");
        return lds !== undefined && lds.acked === lds.version && lds.responses >= 2;
      });
      rmSync(join(folder, "plain.yaml"));
      await eventually("no listener", async () => (await envoy.stat("listener_manager.total_listeners_active")) === 0);
    },
  );

  test("a file that can't be used is reported, its last good content stays", async () => {
    await proxied("DELTA_GRPC");
    await eventually("one", async () => (await body()) === "one");
    for (const [text, says] of [
      ["resources: [", /YAML/],
      [
        plainResources(port, "x").replace("stat_prefix", "stat_prefixx"),
        /HttpConnectionManager has no such field|stat_prefixx/,
      ],
      [plainResources(port, "x").replace("STATIC", "STATICK"), /"STATICK" is none of/],
      [plainResources(port, "x").replace("config.cluster.v3.Cluster", "config.cluster.v9.Cluster"), /no message/],
    ] as const) {
      writeFileSync(join(folder, "plain.yaml"), text);
      await eventually(String(says), () => says.test(w.plane.status().problems.join()));
      expect(await body()).toBe("one");
    }
    writeFileSync(join(folder, "plain.yaml"), plainResources(port, "well again"));
    await eventually("well again", async () => (await body()) === "well again");
    expect(w.plane.status().problems).toEqual([]);
  });

  test("what Envoy refuses is said in its words, and the listener that was stays", async () => {
    const { proxy } = await proxied("GRPC");
    await eventually("one", async () => (await body()) === "one");
    const bad = plainResources(port, "x").replace("stat_prefix: plain", 'stat_prefix: ""');
    writeFileSync(join(folder, "plain.yaml"), bad);
    const nack = await eventually(
      "the refusal",
      () => proxy.status().streams[0]?.types.find(({ type }) => type === "LDS")?.nack,
    );
    expect(nack).toMatch(/stat_prefix|StatPrefix/i);
    expect(w.plane.status().nacks.length).toBeGreaterThan(0);
    expect(await body()).toBe("one");
  });

  test("two Envoys at once: the older stream lives on, both get each change", async () => {
    const { proxy, envoy, config } = await proxied("DELTA_GRPC");
    await eventually("one", async () => (await body()) === "one");
    const before = proxy.status().streams[0]?.id;
    const second = await startEnvoy(
      w.folder,
      "second",
      adsBootstrap(config.xdsSocket, config.sds.socket, "DELTA_GRPC"),
    );
    ends.push(() => second.stop());
    // The listener's port is shared by SO_REUSEPORT; what each Envoy holds is asked of its admin.
    const has = async (one: typeof envoy, text: string): Promise<boolean> =>
      (await one.get("/config_dump")).includes(text);
    await eventually("both have it", async () => (await has(envoy, '"one"')) && (await has(second, '"one"')));
    expect(proxy.status().streams.map(({ pid }) => pid)).toEqual([envoy.pid, second.pid]);
    writeFileSync(join(folder, "plain.yaml"), plainResources(port, "two"));
    await eventually("both have the change", async () => (await has(envoy, '"two"')) && (await has(second, '"two"')));
    expect(proxy.status().streams[0]?.id).toBe(before);
    await second.stop();
    await eventually("one stream left", () => proxy.status().streams.length === 1);
    expect(proxy.status().streams[0]?.id).toBe(before);
  });

  test("the control plane goes and comes back: Envoy serves on, changes made meanwhile arrive", async () => {
    const { proxy } = await proxied("DELTA_GRPC");
    await eventually("one", async () => (await body()) === "one");
    for (let n = 0; n < 3; n++) {
      w.plane.setFaults({ refuse: { calls: "ads", code: 14, text: "away" } });
      w.plane.disconnectAll();
      await eventually("it is noticed", () => proxy.status().reachable === "no");
      expect(await body()).toMatch(/one|change/);
      writeFileSync(join(folder, "plain.yaml"), plainResources(port, `change ${n}`));
      w.plane.setFaults({});
      await eventually(`change ${n}`, async () => (await body()) === `change ${n}`);
      expect(proxy.status()).toMatchObject({ reachable: "yes", reason: "", failures: 0 });
    }
    expect(proxy.status().streams).toHaveLength(1);
  });

  test("the built command serves the same, and ends with 0 on SIGTERM", async () => {
    mkdirSync(join(w.folder, "command"));
    const child = spawn(
      pilotfish,
      [
        "control-plane",
        "--directory",
        join(w.folder, "command/ca"),
        "--resources",
        folder,
        "--port",
        "0",
        "--plainPort",
        "0",
        "--log_as_json",
      ],
      { stdio: ["ignore", "pipe", "inherit"] },
    );
    const ended = new Promise<number | null>((resolve) => child.once("exit", (code) => resolve(code)));
    ends.push(async () => {
      child.kill("SIGKILL");
      await ended;
    });
    let said = "";
    child.stdout.on("data", (text: Buffer) => {
      said += text.toString();
    });
    const ports = await eventually("its ports", () => /"port":(\d+),"plainPort":(\d+)/.exec(said) ?? undefined);
    writeFileSync(w.path("run/root-cert.pem"), readFileSync(join(w.folder, "command/ca/root-cert.pem")));
    const config = w.config({ xds: { ...w.config().xds, port: Number(ports[1]) }, xdsSocket: w.path("command/XDS") });
    const proxy = await startProxy(config);
    ends.push(() => proxy.close());
    const envoy = await startEnvoy(w.folder, "command", adsBootstrap(config.xdsSocket, config.sds.socket, "GRPC"));
    ends.push(() => envoy.stop());
    await eventually("one", async () => (await body()) === "one");
    child.kill("SIGTERM");
    expect(await ended).toBe(0);
  });
});
