import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { typeUrls } from "../../src/protocol/names.ts";
import { eventually } from "../helpers/eventually.ts";
import { drawPorts, ProxyRun, portSettings } from "../helpers/proxy.ts";
import { type World, world } from "../identity/harness.ts";
import { asks } from "../xds/between.ts";
import { rawEnvoy } from "../xds/wire.ts";

/* What large pushes cost the built program in memory, before the embedded control plane and over TLS. */

let w: World;
const ends: (() => unknown)[] = [];
beforeEach(async () => {
  w = await world();
  ends.push(() => w.done());
});
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

/** A figure of /proc/PID/status, in MB. */
const figure = (pid: number, name: string): number =>
  Number(new RegExp(`^${name}:\\s+(\\d+)`, "m").exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]) / 1_024;

test("20 MB pass through ten times: no more than 100 MB at the peak, and it is given back", async () => {
  const { args, env } = portSettings(await drawPorts());
  const run = new ProxyRun({
    args: [...args, "--discoveryAddress", `127.0.0.1:${w.plane.tlsPort}`],
    env: { ...env, DISABLE_ENVOY: "true", ISTIOD_SAN: "istiod.istio-system.svc", SERVICE_ACCOUNT: "sleep" },
    files: {
      "var/run/secrets/istio/root-cert.pem": w.plane.rootCertificate(),
      "var/run/secrets/tokens/istio-token": "a-token",
    },
  });
  ends.push(() => run.done());
  await eventually("the certificate", () => w.plane.status().issued > 0);
  const envoy = rawEnvoy(join(run.folder.path, "etc/istio/proxy/XDS"));
  ends.push(() => envoy.close());
  const push = async (count: number, size: number, fill: number): Promise<void> => {
    const value = Buffer.alloc(size, fill);
    w.plane.setResources(
      Array.from({ length: count }, (_, n) => ({ typeUrl: typeUrls.cluster, name: `c${n}`, value })),
    );
    await eventually("the push", () => envoy.messages.length === 1, 60_000);
    expect(envoy.messages[0]?.length).toBeGreaterThan(count * size);
    envoy.messages.length = 0;
  };
  envoy.send(asks(typeUrls.cluster));
  await push(1, 10, 0);
  const before = figure(run.pid, "RssAnon");
  for (let n = 1; n <= 10; n++) await push(1_000, 20_000, n);
  expect(figure(run.pid, "VmHWM")).toBeLessThan(100);
  await eventually("given back", () => figure(run.pid, "RssAnon") < before + 2);
});
