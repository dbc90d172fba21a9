import { spawn } from "node:child_process";
import { createServer } from "node:net";
import { afterEach, beforeEach, expect, test } from "vitest";
import { alive } from "../helpers/alive.ts";
import { eventually } from "../helpers/eventually.ts";
import { freePorts } from "../helpers/free-ports.ts";
import { pilotfish } from "../helpers/paths.ts";
import { ask, drawPorts, type Ports, ProxyRun, portSettings, staticProxy } from "../helpers/proxy.ts";
import { staticBootstrap } from "../helpers/static-bootstrap.ts";

let ports: Ports;
let proxy: ProxyRun;
beforeEach(async () => {
  ports = await drawPorts();
});
afterEach(() => proxy.done());

/** `pilotfish wait` beside the proxy: by default in a folder where its socket is not. */
async function wait(words: readonly string[], cwd = "/") {
  const child = spawn(pilotfish, ["wait", ...words], { cwd, stdio: ["ignore", "pipe", "pipe"] });
  const said = { out: "", err: "" };
  child.stdout.setEncoding("utf8").on("data", (text: string) => (said.out += text));
  child.stderr.setEncoding("utf8").on("data", (text: string) => (said.err += text));
  const code = await new Promise<number | null>((done) => child.once("close", done));
  return { code, ...said };
}
const readiness = () => `--url=http://localhost:${ports.readiness}/healthz/ready`;
/** An application that finds the proxy serving, and has an exit code of its own. */
const application = ["--", process.execPath, "-e"];
const asks = () =>
  `fetch("http://127.0.0.1:${ports.readiness}/healthz/ready").then((r) => { console.log(r.status); process.exit(5); })`;

test("a Job: the application starts when the proxy serves, and the proxy ends after it", async () => {
  proxy = staticProxy(ports);
  const seen = await wait([readiness(), "--then-quit", `--statusPort=${ports.status}`, ...application, asks()]);
  expect(seen).toMatchObject({ code: 5, out: "200\n" });
  expect(await proxy.exited).toEqual({ code: 0, signal: null });
  expect(alive(await proxy.envoyPid())).toBe(false);
});

test("the unix socket, where both containers share its folder, even with loopback closed", async () => {
  proxy = staticProxy(ports, { env: { PILOTFISH_LOOPBACK_CONTROL: "false" } });
  const [nobody = 0] = await freePorts(1);
  const words = [readiness(), "--then-quit", `--statusPort=${nobody}`, "--", "sh", "-c", "kill -KILL $$"];
  expect(await wait(words, proxy.folder.path)).toMatchObject({ code: 137, out: "" });
  expect(await proxy.exited).toEqual({ code: 0, signal: null });
});

test("a proxy that never gets ready: the application never starts, and the Job ends all the same", async () => {
  proxy = staticProxy(ports);
  await eventually(
    "the status server is up",
    async () => (await ask({ port: ports.status }, "/metrics")).status === 200,
  );
  const [nobody = 0] = await freePorts(1);
  const words = [`--url=http://localhost:${nobody}/`, "--timeoutSeconds=0", "--then-quit"];
  const seen = await wait([...words, `--statusPort=${ports.status}`, ...application, asks()]);
  expect(seen).toMatchObject({ code: 1, out: "" });
  expect(seen.err).toContain("cannot wait any longer");
  expect(await proxy.exited).toEqual({ code: 0, signal: null });
});

test("a proxy that refuses: said on standard error, and the exit code stays the application's", async () => {
  proxy = staticProxy(ports, { env: { PILOTFISH_LOOPBACK_CONTROL: "false" } });
  const seen = await wait([readiness(), "--then-quit", `--statusPort=${ports.status}`, ...application, asks()]);
  expect(seen).toMatchObject({ code: 5, out: "200\n" });
  expect(seen.err).toMatch(/cannot end the sidecar: 127\.0\.0\.1:\d+: the answer is 403, .*; where the pod has one/);
  expect((await ask({ port: ports.readiness }, "/healthz/ready")).status).toBe(200);
  proxy.signal("SIGTERM");
  expect(await proxy.exited).toEqual({ code: 0, signal: null });
});

test("tcp through Envoy is ready when the server behind it is, not when Envoy is", async () => {
  const [behind = 0] = await freePorts(1);
  const { args, env } = portSettings(ports);
  proxy = new ProxyRun({ args, env, bootstrap: withTcpListener(behind) });
  const through = `--for=tcp://127.0.0.1:${ports.listener}`;
  await eventually(
    "Envoy listens",
    async () => (await ask({ port: ports.readiness }, "/healthz/ready")).status === 200,
  );
  const seen = await wait([through, "--timeoutSeconds=0"]);
  expect(seen.code).toBe(1);
  expect(seen.err).toContain("the connection is taken and closed at once: a proxy stands in between");
  const server = createServer((socket) => socket.on("error", () => undefined));
  await new Promise<void>((done) => server.listen(behind, "127.0.0.1", done));
  expect(await wait([through])).toMatchObject({ code: 0 });
  server.close();
});

/** A static configuration with one more listener, which forwards bytes as capture does. */
function withTcpListener(to: number): object {
  const base = staticBootstrap({
    adminPort: ports.admin,
    readiness: { port: ports.readiness, statusPort: ports.status },
  }) as { static_resources: { listeners: object[]; clusters: object[] } };
  const at = (port: number) => ({ socket_address: { address: "127.0.0.1", port_value: port } });
  const { listeners, clusters } = base.static_resources;
  const typed = {
    "@type": "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy",
    stat_prefix: "tcp",
    cluster: "behind",
  };
  listeners.push({
    name: "tcp",
    address: at(ports.listener),
    filter_chains: [{ filters: [{ name: "envoy.filters.network.tcp_proxy", typed_config: typed }] }],
  });
  const endpoints = [{ lb_endpoints: [{ endpoint: { address: at(to) } }] }];
  clusters.push({
    name: "behind",
    type: "STATIC",
    connect_timeout: "1s",
    load_assignment: { cluster_name: "behind", endpoints },
  });
  return base;
}
