import { readFileSync } from "node:fs";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type App, startApp } from "../helpers/app.ts";
import { eventually } from "../helpers/eventually.ts";
import { ask, drawPorts, type Ports, ProxyRun } from "../helpers/proxy.ts";
import { staticBootstrap } from "../helpers/static-bootstrap.ts";

/* The command lines that people really have, word for word but for the ports, which the test draws. */

let ports: Ports;
let app: App;
let proxy: ProxyRun | undefined;

beforeEach(async () => {
  ports = await drawPorts();
  app = await startApp(ports.app);
});
afterEach(async () => {
  await proxy?.done();
  proxy = undefined;
  await app.close();
});

/** As the container runtime starts it: PID 1 of a namespace, uid 1337, after the kubelet's expansion. */
const asPid1 = [
  "unshare",
  "--pid",
  "--fork",
  "--mount-proc",
  "--kill-child",
  "sh",
  "-c",
  'chmod 0755 . && install -d -o 1337 -g 1337 etc/istio/proxy var/run/secrets/workload-spiffe-uds && exec setpriv --reuid 1337 --regid 1337 --clear-groups "$@"',
  "sh",
];

const seedArguments = (): readonly string[] => [
  ...["--domain", "ns.svc.cluster.local", "--configPath", "./etc/istio/proxy", "--binaryPath", "/usr/local/bin/envoy"],
  ...["--serviceCluster", "productpage.ns", "--drainDuration", "45s", "--parentShutdownDuration", "1m0s"],
  ...["--discoveryAddress", "istiod.istio-system.svc:15012", "--zipkinAddress", "zipkin.istio-system:9411"],
  ...["--proxyLogLevel=warning", "--proxyComponentLogLevel=misc:error", "--connectTimeout", "10s"],
  ...["--proxyAdminPort", String(ports.admin), "--concurrency", "2", "--controlPlaneAuthPolicy", "NONE"],
  ...["--dnsRefreshRate", "300s", "--statusPort", String(ports.status), "--trust-domain=cluster.local"],
  "--controlPlaneBootstrap=false",
];

const portsOfListeners = (): Record<string, string> => ({
  ENVOY_STATUS_PORT: String(ports.readiness),
  ENVOY_PROMETHEUS_PORT: String(ports.prometheus),
});

/** As PID 1 its pids are the namespace's: SIGTERM goes to the one child of unshare. */
async function stopPid1(run: ProxyRun): Promise<void> {
  const inner = Number(readFileSync(`/proc/${run.pid}/task/${run.pid}/children`, "utf8").trim().split(" ")[0]);
  process.kill(inner, "SIGTERM");
  expect(await run.exited).toEqual({ code: 0, signal: null });
}

describe("the seed's command line, as PID 1 and uid 1337", () => {
  test("without a control plane: up, and not ready for the right reason", async () => {
    proxy = new ProxyRun({ prefix: asPid1, args: seedArguments(), env: portsOfListeners() });
    const answer = await eventually("a reason", async () => {
      const said = await ask({ port: ports.status }, "/healthz/ready");
      return /cds: cannot reach the control plane/.test(said.body) ? said : undefined;
    });
    expect(answer.status).toBe(503);
    expect(proxy.output).toMatch(/Envoy started.*epoch=0/);
    await stopPid1(proxy);
  });

  test("with a static custom configuration: ready", async () => {
    const bootstrap = staticBootstrap({
      adminPort: ports.admin,
      listener: { port: ports.listener, to: ports.app },
      readiness: { port: ports.readiness, statusPort: ports.status },
    });
    proxy = new ProxyRun({
      prefix: asPid1,
      args: [...seedArguments(), "--customConfigFile", "./custom.json"],
      env: portsOfListeners(),
      files: { "custom.json": JSON.stringify(bootstrap) },
    });
    await eventually("ready", async () => (await ask({ port: ports.readiness }, "/healthz/ready")).status === 200);
    expect((await ask({ port: ports.listener }, "/")).body).toBe("hello\n");
    await stopPid1(proxy);
  });
});

describe("a hand-made sidecar", () => {
  const yaml = (): string => JSON.stringify(staticBootstrap({ listener: { port: ports.listener, to: ports.app } }));

  test.each([
    ["two words", (path: string) => ["-c", path]],
    ["one glued word", (path: string) => [`-c ${path}`]],
  ])("-c FILE in %s, --service-cluster, --service-node", async (_title, words) => {
    proxy = new ProxyRun({
      files: { "envoy.yaml": yaml() },
      args: [
        ...words("./envoy.yaml"),
        ...["--service-cluster", "grpc-service", "--service-node", "grpc-service"],
        ...["--statusPort", String(ports.status), "--proxyAdminPort", String(ports.admin)],
      ],
      env: portsOfListeners(),
    });
    await eventually(
      "ready on the status port",
      async () => (await ask({ port: ports.status }, "/healthz/ready")).status === 200,
    );
    expect(proxy.output).toContain(`no listener on port ${ports.readiness}`);
    const info = JSON.parse((await ask({ port: ports.admin }, "/server_info")).body) as {
      node: Record<string, string>;
    };
    expect(info.node).toMatchObject({ id: "grpc-service", cluster: "grpc-service" });
    expect((await ask({ port: ports.listener }, "/")).body).toBe("hello\n");
    proxy.signal("SIGTERM");
    expect(await proxy.exited).toEqual({ code: 0, signal: null });
  });
});

test("DISABLE_ENVOY runs everything but Envoy", async () => {
  proxy = new ProxyRun({ args: ["--statusPort", String(ports.status)], env: { DISABLE_ENVOY: "true" } });
  await eventually("ready", async () => (await ask({ port: ports.status }, "/healthz/ready")).status === 200);
  expect(proxy.output).not.toContain("Envoy started");
  proxy.signal("SIGTERM");
  expect(await proxy.exited).toEqual({ code: 0, signal: null });
});

test("everything that is wrong is said at once, and nothing is started", async () => {
  proxy = new ProxyRun({
    args: ["--statusPort", "no", "--drainDuration=fast", "--concurrency", "-3", "--domain", "$(POD_NAMESPACE).svc"],
    env: { MINIMUM_DRAIN_DURATION: "soon", ISTIO_META_DNS_CAPTURE: "true" },
  });
  expect((await proxy.exited).code).toBe(64);
  for (const one of [
    "statusPort",
    "drainDuration",
    "concurrency",
    "POD_NAMESPACE",
    "MINIMUM_DRAIN_DURATION",
    "DNS_CAPTURE",
  ]) {
    expect(proxy.output).toContain(one);
  }
  expect(proxy.output).not.toContain("Envoy started");
});
