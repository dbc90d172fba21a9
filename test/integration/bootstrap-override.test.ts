import { spawn } from "node:child_process";
import { join } from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import { writeBootstrap } from "../../src/bootstrap/bootstrap-file.ts";
import { type Address, renderBootstrap } from "../../src/bootstrap/render-bootstrap.ts";
import type { JsonObject } from "../../src/config/agent-config.ts";
import { podConfig } from "../bootstrap/config-fixture.ts";
import { eventually } from "../helpers/eventually.ts";
import { freePorts } from "../helpers/free-ports.ts";
import { envoy, temporaryFolder } from "../helpers/paths.ts";
import { ask } from "../helpers/proxy.ts";

const cleanUp: (() => unknown)[] = [];
afterEach(async () => {
  for (const undo of cleanUp.splice(0).toReversed()) await undo();
});

const target = (at: Address | undefined) =>
  at?.kind === "pipe" ? { socketPath: at.path } : { port: at?.port ?? 0, host: at?.host ?? "" };

/** What we believe about the bootstrap with the override in it, held against what Envoy made of the two. */
describe("facts of an override are Envoy's", () => {
  const cases: readonly (readonly [string, (folder: string, port: number) => JsonObject])[] = [
    ["another port", (_, port) => ({ admin: { address: { socket_address: { port_value: port } } } })],
    [
      "a unix socket in the place of the port",
      (folder) => ({ admin: { address: { pipe: { path: `${folder}/a.sock` } } } }),
    ],
    [
      "camel case, one more listener and a sink",
      (_, port) => ({
        admin: { address: { socketAddress: { portValue: port } } },
        statsSinks: [
          {
            name: "envoy.stat_sinks.statsd",
            typedConfig: {
              "@type": "type.googleapis.com/envoy.config.metrics.v3.StatsdSink",
              address: { socketAddress: { protocol: "UDP", address: "127.0.0.1", portValue: 9 } },
            },
          },
        ],
        staticResources: {
          listeners: [
            {
              name: "more",
              address: { socketAddress: { address: "127.0.0.1", portValue: 0 } },
              filterChains: [
                {
                  filters: [
                    {
                      name: "envoy.filters.network.echo",
                      typedConfig: { "@type": "type.googleapis.com/envoy.extensions.filters.network.echo.v3.Echo" },
                    },
                  ],
                },
              ],
            },
          ],
        },
      }),
    ],
  ];

  test.each(cases)("%s", async (_title, override) => {
    const folder = temporaryFolder("override");
    cleanUp.push(folder.done);
    const [admin = 0, other = 0, readiness = 0, prometheus = 0] = await freePorts(4);
    const config = podConfig({
      args: ["proxy", "sidecar", "--proxyAdminPort", `${admin}`, "--templateFile", "/t.json"],
      env: {
        ENVOY_STATUS_PORT: `${readiness}`,
        ENVOY_PROMETHEUS_PORT: `${prometheus}`,
        ISTIO_BOOTSTRAP_OVERRIDE: "/o",
      },
    });
    const rendered = await renderBootstrap(config, {
      template: JSON.stringify({ $merge: [{ $eval: "builtin" }, { dynamic_resources: {} }] }),
      override: JSON.stringify(override(folder.path, other)),
    });
    const path = writeBootstrap(rendered, join(folder.path, "proxy"), 0);
    const words = ["-c", path, "--config-yaml", rendered.override ?? "", "--disable-hot-restart", "-l", "error"];
    const child = spawn(envoy, words, { stdio: "ignore" });
    const exited = new Promise((resolve) => child.once("exit", resolve));
    cleanUp.push(() => {
      child.kill("SIGKILL");
      return exited;
    });
    const at = target(rendered.facts.admin);
    await eventually("Envoy is live where the facts say", async () => (await ask(at, "/ready")).status === 200);
    const { body } = await ask(at, "/listeners");
    const names = body
      .trim()
      .split("\n")
      .map((line) => line.split("::")[0]);
    expect(new Set(names)).toEqual(new Set(rendered.facts.staticListeners.map((one) => one.name)));
  });
});
