import { spawn } from "node:child_process";
import { writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import { connect } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { renderBootstrap } from "../../src/bootstrap/render-bootstrap.ts";
import { podConfig } from "../bootstrap/config-fixture.ts";
import { eventually } from "../helpers/eventually.ts";
import { freePorts } from "../helpers/free-ports.ts";
import { envoy, temporaryFolder } from "../helpers/paths.ts";
import { ask } from "../helpers/proxy.ts";

/** As built in, but without a control plane to wait for: Envoy becomes LIVE on what the bootstrap itself holds. */
const withoutControlPlane = JSON.stringify({ $merge: [{ $eval: "builtin" }, { dynamic_resources: {} }] });

describe("a real Envoy on the rendered bootstrap", () => {
  const folder = temporaryFolder("listeners");
  const seen: string[] = [];
  let ports = { admin: 0, status: 0, readiness: 0, prometheus: 0 };
  let status: Server;
  let stop: () => Promise<unknown>;
  let log = "";

  beforeAll(async () => {
    const [admin = 0, agent = 0, readiness = 0, prometheus = 0] = await freePorts(4);
    ports = { admin, status: agent, readiness, prometheus };
    status = createServer((request, response) => {
      seen.push(`${request.method} ${request.url}`);
      response.end("ready\n");
    });
    await new Promise<void>((resolve) => status.listen(ports.status, "127.0.0.1", () => resolve()));
    const config = podConfig({
      args: [
        "proxy",
        "sidecar",
        "--proxyAdminPort",
        `${admin}`,
        "--statusPort",
        `${agent}`,
        "--templateFile",
        "/t.json",
      ],
      env: {
        ENVOY_STATUS_PORT: `${readiness}`,
        ENVOY_PROMETHEUS_PORT: `${prometheus}`,
        ENVOY_STATUS_PORT_ENABLE_PROXY_PROTOCOL: "true",
        ISTIO_DUAL_STACK: "true",
      },
      addresses: ["10.0.0.1", "fd00::1"],
    });
    const { text } = await renderBootstrap(config, { template: withoutControlPlane });
    const path = join(folder.path, "envoy-rev0.json");
    writeFileSync(path, text);
    const args = ["-c", path, "--disable-hot-restart", "-l", "warning", "--skip-deprecated-logs", "--concurrency", "1"];
    const child = spawn(envoy, args, { stdio: ["ignore", "ignore", "pipe"] });
    const exited = new Promise((resolve) => child.once("exit", resolve));
    child.stderr.setEncoding("utf8").on("data", (part: string) => {
      log += part;
    });
    stop = () => {
      child.kill("SIGKILL");
      return exited;
    };
    await eventually("Envoy is live", async () => (await ask({ port: admin }, "/ready")).status === 200);
  });

  afterAll(async () => {
    await stop();
    await new Promise((resolve) => status.close(resolve));
    folder.done();
  });

  test("15021 passes on exactly the readiness path, without a query", async () => {
    seen.length = 0;
    for (const path of ["/healthz/ready", "/healthz/ready?format=json&a=b"]) {
      expect(await ask({ port: ports.readiness }, path)).toMatchObject({ status: 200, body: "ready\n" });
    }
    expect(await ask({ port: ports.readiness, host: "::1" }, "/healthz/ready")).toMatchObject({ status: 200 });
    expect(seen).toEqual(["GET /healthz/ready", "GET /healthz/ready", "GET /healthz/ready"]);
  });

  test.each([
    "/",
    "/healthz/ready/",
    "/healthz/readyz",
    "/healthz",
    "//healthz/ready",
    "/quitquitquit",
    "/stats/prometheus",
  ])("15021 has nothing else: %s", async (path) => {
    seen.length = 0;
    expect((await ask({ port: ports.readiness }, path)).status).toBe(404);
    expect(seen).toEqual([]);
  });

  test("15021 does not take a POST", async () => {
    expect((await ask({ port: ports.readiness }, "/healthz/ready", { method: "POST" })).status).toBe(404);
  });

  test("15021 takes the proxy protocol, and goes on without it", async () => {
    const answer = await raw(
      ports.readiness,
      "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\nGET /healthz/ready HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    );
    expect(answer).toMatch(/^HTTP\/1\.1 200 /);
  });

  test("15090 gives the statistics with Istio's tags, and only to be read", async () => {
    const { status: code, body } = await ask({ port: ports.prometheus }, "/stats/prometheus?usedonly");
    expect(code).toBe(200);
    expect(body).toContain('cluster_name="xds-grpc"');
    expect(body).toMatch(/^envoy_server_live\{\} 1$/m);
    for (const path of ["/", "/stats", "/quitquitquit", "/stats/prometheus/", "/config_dump"]) {
      expect((await ask({ port: ports.prometheus }, path)).status).toBe(404);
    }
    expect((await ask({ port: ports.prometheus }, "/stats/prometheus", { method: "POST" })).status).toBe(404);
  });

  test.each(["downstream_cx_active", "downstream_cx_total", "downstream_pre_cx_active"])(
    "%s is there by listener, for the drain, and not by worker",
    async (name) => {
      const { body } = await ask({ port: ports.admin }, `/stats?filter=%5Elistener%5C..*${name}$`);
      const names = body
        .trim()
        .split("\n")
        .map((line) => line.replace(new RegExp(`\\.${name}: \\d+$`), ""));
      const expected = [ports.readiness, ports.prometheus].map((port) => `listener.0.0.0.0_${port}`);
      expect(names.toSorted()).toEqual(expected.toSorted());
    },
  );

  test.each(["gzip", "br", "zstd"])("15090 compresses: %s", async (encoding) => {
    const headers = { "accept-encoding": encoding };
    const answer = await ask({ port: ports.prometheus }, "/stats/prometheus", { headers });
    expect(answer).toMatchObject({ status: 200, headers: { "content-encoding": encoding } });
  });

  test("the runtime layer is the one that was asked for", async () => {
    const { body } = await ask({ port: ports.admin }, "/runtime");
    const { entries } = JSON.parse(body) as { entries: Record<string, { final_value: string }> };
    expect(entries["re2.max_program_size.error_level"]?.final_value).toBe("32768");
    expect(entries["envoy.reloadable_features.http_reject_path_with_fragment"]?.final_value).toBe("false");
  });

  test("Envoy has nothing to complain about", () => {
    expect(log).toBe("");
  });
});

/** Sends bytes, gives what comes back until the end. */
function raw(port: number, bytes: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, "127.0.0.1", () => socket.write(bytes));
    let got = "";
    socket.setEncoding("utf8").on("data", (part: string) => {
      got += part;
    });
    socket.once("error", reject);
    socket.once("end", () => resolve(got));
  });
}
