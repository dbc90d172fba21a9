import { afterEach, beforeEach, expect, onTestFinished, test } from "vitest";
import { eventually } from "../helpers/eventually.ts";
import { freePorts } from "../helpers/free-ports.ts";
import { ask, drawPorts, type Ports, ProxyRun, portSettings, staticProxy } from "../helpers/proxy.ts";
import { strictPage } from "../metrics/strict-page.ts";

/* What `pilotfish_ready` says where no probe reaches us: kubelets ask Envoy's listener, and the metric is for the
   moments in which that has nothing to say. Nobody probes in these tests. */

let ports: Ports;
let proxy: ProxyRun;

beforeEach(async () => {
  ports = await drawPorts();
});
afterEach(() => proxy.done());

const pageOf = async (path = "/stats/prometheus"): Promise<string> => {
  const headers = { "x-prometheus-scrape-timeout-seconds": "2" };
  const { status, body } = await ask({ port: ports.status }, path, { headers });
  expect(status).toBe(200);
  expect(strictPage(body, "text")).toEqual([]);
  return body;
};
const readyOn = (page: string): number | undefined => {
  const found = /^pilotfish_ready (\S+)$/m.exec(page)?.[1];
  return found === undefined ? undefined : Number(found);
};
const served = (): Promise<boolean> =>
  ask({ port: ports.status }, "/metrics").then(
    () => true,
    () => false,
  );

test("an Envoy that hangs is not ready within seconds, on pages that come all the same, and ready when it goes on", async () => {
  proxy = staticProxy(ports);
  await eventually("ready", async () => (await served()) && readyOn(await pageOf()) === 1);
  expect(readyOn(await pageOf("/metrics"))).toBe(1);
  const pid = await proxy.envoyPid();
  process.kill(pid, "SIGSTOP");
  onTestFinished(() => void process.kill(pid, "SIGCONT"));
  const own = await eventually("not ready, on our own page", async () => {
    const page = await pageOf("/metrics");
    return readyOn(page) === 0 && page;
  });
  expect(readyOn(await pageOf())).toBe(0);
  expect(own).toMatch(/^pilotfish_readiness_probes_total\{result="not_ready"\} 0$/m);
  expect(proxy.output).toMatch(/Not ready any more.*epoch: /);
  process.kill(pid, "SIGCONT");
  await eventually("ready again", async () => readyOn(await pageOf()) === 1);
  expect(await pageOf()).toMatch(/^pilotfish_readiness_probes_total\{result="ready"\} 0$/m);
});

test("without a control plane, whose listeners Envoy waits for, it says so from the first page on", async () => {
  const { args, env } = portSettings(ports);
  const [nobody] = await freePorts(1);
  proxy = new ProxyRun({
    args: [...args, "--discoveryAddress", `127.0.0.1:${nobody}`, "--domain", "ns.svc.cluster.local"],
    env: { ...env, ISTIOD_SAN: "istiod.istio-system.svc", SERVICE_ACCOUNT: "server" },
    files: { "var/run/secrets/istio/root-cert.pem": "", "var/run/secrets/tokens/istio-token": "a-token" },
  });
  await eventually("the status port", served);
  expect(readyOn(await pageOf("/metrics"))).toBe(0);
  await proxy.said(/Envoy started/);
  expect(readyOn(await pageOf())).toBe(0);
  await expect(ask({ port: ports.readiness }, "/healthz/ready")).rejects.toThrow();
});
