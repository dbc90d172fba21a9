import { Unavailable } from "../../foundation/errors.ts";
import { realClock } from "../../system/clock.ts";
import { onSignals } from "../../system/early-signals.ts";
import { executable } from "../../system/files.ts";
import { httpRequest } from "../../system/http-client.ts";
import { freePort } from "../../system/network.ts";
import { inCheckout, ownLauncher } from "../../system/own-program.ts";
import { type ExitReport, startProgram } from "../../system/programs.ts";
import { temporaryFolder } from "../../system/temporary-folder.ts";
import type { Call } from "../command.ts";
import { exitCodes } from "../exit-codes.ts";
import type { DemoPorts } from "./discovery-resources.ts";
import { exampleApplication } from "./example-application.ts";
import { startMesh } from "./mesh.ts";
import { askSecurely } from "./mutual-tls.ts";
import { type DemoStep, demoSteps } from "./steps.ts";

/** Ports that people know, when they are free. */
const usual: DemoPorts = {
  admin: 15000,
  status: 15020,
  readiness: 15021,
  prometheus: 15090,
  service: 8080,
  secure: 8443,
  application: 9080,
};
const READY_WITHIN = 30_000;

export async function run(call: Call): Promise<number> {
  const folder = temporaryFolder("pilotfish-demo");
  const ports = await choosePorts();
  const application = await exampleApplication(ports.application);
  const plane = await startMesh(folder.path, ports);
  try {
    return await show(call, folder.path, ports, plane.tlsPort ?? 0);
  } finally {
    await plane.close();
    application.close();
    folder.remove();
  }
}

async function show(call: Call, folder: string, ports: DemoPorts, planePort: number): Promise<number> {
  const asked = Promise.withResolvers<void>();
  onSignals(() => asked.resolve());
  call.out(portTable(ports, planePort, folder));
  const proxy = startProxy(call, folder, ports, planePort);
  const get = (port: number, path: string) =>
    httpRequest({ to: { host: "127.0.0.1", port }, path, timeout: 10_000, limit: 64 * 1024 * 1024 });
  const certificates = `${folder}/certificates`;
  const secure = { certificates, ask: async () => askSecurely(ports.secure, certificates) };
  const steps = demoSteps(ports, get, secure, `${folder}/etc/istio/proxy/pilotfish.sock`);
  const failed = await showSteps(call, steps, proxy.exited);
  if (failed === 0 && call.flags.values.get("once") === undefined) {
    call.out("\nEverything stands. Try the commands above; Ctrl-C ends it.\n");
    await Promise.race([asked.promise, proxy.exited]);
  }
  return finish(call, proxy, failed);
}

interface RunningProxy {
  readonly stop: () => void;
  readonly exited: Promise<ExitReport>;
}

function startProxy(call: Call, folder: string, ports: DemoPorts, planePort: number): RunningProxy {
  const envoy = call.env.get("PILOTFISH_ENVOY") ?? inCheckout(".envoy/bin/envoy");
  if (executable(envoy) !== "yes")
    throw new Unavailable(
      `cannot show anything: there is no Envoy at "${envoy}"; run "npm run setup", or set PILOTFISH_ENVOY`,
    );
  const exited = Promise.withResolvers<ExitReport>();
  const words = [
    "proxy",
    "sidecar",
    "--discoveryAddress",
    `localhost:${planePort}`,
    "--proxyAdminPort",
    String(ports.admin),
  ];
  const program = startProgram(
    ownLauncher(),
    [...words, "--statusPort", String(ports.status), "--concurrency", "1"],
    { environment: demoEnvironment(call.env, envoy, ports), directory: folder, dieWithUs: false },
    { onExit: exited.resolve },
  );
  return { stop: () => void program.signal("SIGTERM"), exited: exited.promise };
}

function demoEnvironment(
  env: ReadonlyMap<string, string>,
  envoy: string,
  ports: DemoPorts,
): ReadonlyMap<string, string> {
  const scrape = { scrape: "true", path: "/metrics", port: String(ports.application) };
  return new Map([
    ...env,
    ["PILOTFISH_ENVOY", envoy],
    ["POD_NAME", "demo"],
    ["POD_NAMESPACE", "default"],
    ["SERVICE_ACCOUNT", "demo"],
    ["INSTANCE_IP", "127.0.0.1"],
    ["OUTPUT_CERTS", "./certificates"],
    ["ENVOY_STATUS_PORT", String(ports.readiness)],
    ["ENVOY_PROMETHEUS_PORT", String(ports.prometheus)],
    ["ISTIO_PROMETHEUS_ANNOTATIONS", JSON.stringify(scrape)],
  ]);
}

/** Shows each step once it can be; gives how many failed. A proxy that ends early fails all that is left. */
async function showSteps(call: Call, steps: readonly DemoStep[], exited: Promise<ExitReport>): Promise<number> {
  let ended = false;
  void exited.then(() => {
    ended = true;
  });
  let failed = 0;
  for (const step of steps) {
    const result = await tryFor(step, () => ended);
    if (!result.ok) failed += 1;
    call.out(`\n${result.ok ? "ok    " : "FAILED"}  ${step.title}\n        ${step.command}\n        ${result.text}\n`);
  }
  return failed;
}

async function tryFor(step: DemoStep, ended: () => boolean): Promise<{ readonly ok: boolean; readonly text: string }> {
  const end = realClock.monotonic() + READY_WITHIN;
  for (;;) {
    try {
      return { ok: true, text: await step.show() };
    } catch (error) {
      if (ended()) return { ok: false, text: "pilotfish proxy has ended; its log above says why" };
      if (realClock.monotonic() > end) return { ok: false, text: (error as Error).message };
      await new Promise<void>((resolve) => realClock.after(50, resolve));
    }
  }
}

async function finish(call: Call, proxy: RunningProxy, failed: number): Promise<number> {
  const began = realClock.monotonic();
  proxy.stop();
  const exit = await proxy.exited;
  const clean = exit.how === "exited" && exit.code === 0;
  const took = Math.round(realClock.monotonic() - began);
  const how = exit.how === "exited" ? `exit code ${exit.code}` : exit.signal;
  call.out(`\n${clean ? "ok    " : "FAILED"}  a clean end\n        ${how} after ${took} ms\n`);
  return clean && failed === 0 ? exitCodes.ok : exitCodes.failed;
}

async function choosePorts(): Promise<DemoPorts> {
  const chosen: Record<string, number> = {};
  for (const [name, port] of Object.entries(usual)) chosen[name] = await freePort("127.0.0.1", port);
  return chosen as unknown as DemoPorts;
}

function portTable(ports: DemoPorts, planePort: number, folder: string): string {
  const rows: readonly (readonly [keyof DemoPorts, string])[] = [
    ["service", "the example application, through Envoy"],
    ["secure", "the same over mutual TLS"],
    ["readiness", "readiness, an Envoy listener"],
    ["status", "status and merged metrics, ours"],
    ["prometheus", "Envoy's statistics"],
    ["admin", "Envoy's admin"],
    ["application", "the example application itself"],
  ];
  const own = rows.map(([name, what]) => `${String(ports[name]).padStart(6)}  ${what}`);
  const plane = `${String(planePort).padStart(6)}  the embedded control plane; its resources: ${folder}/resources`;
  return `${[...own, plane].join("\n")}\n\n`;
}
