import { describeError } from "../foundation/errors.ts";
import { type Millis, pause } from "../foundation/time.ts";
import { readReadinessProbe } from "../status/application-health-settings.ts";
import { realClock } from "../system/clock.ts";
import { httpRequest } from "../system/http-client.ts";
import { selfPid } from "../system/process.ts";
import type { ServiceNotify } from "../system/service-notify.ts";
import type { AgentParts } from "./agent-parts.ts";
import type { Stage } from "./stage.ts";

/** Until the service is ready, it is looked at so often; afterwards only what is said of it can change. */
const [UNTIL_READY, AFTERWARDS]: readonly [Millis, Millis] = [250, 2_000];
const ANSWER_WITHIN: Millis = 3_000;
/** The unit's time for stopping goes on from each such word, however long the drain is. */
const MORE_TIME: Millis = 10_000;

/**
 * What a machine has instead of a kubelet: the health of its application goes to the control plane
 * (ProxyConfig.readinessProbe), and our own to systemd (NOTIFY_SOCKET). Nothing is loaded where neither is wanted.
 * It asks our own status server, so it stands after it.
 */
export function machineStage(parts: AgentParts): Stage {
  const ends: (() => Promise<void> | void)[] = [];
  return {
    name: "machine",
    start: async () => {
      ends.push(...(await startHealth(parts)), ...(await startNotify(parts)));
    },
    stop: async () => {
      for (const end of ends) await end();
    },
  };
}

/** Undefined when we are ready, or the first reason why not. */
async function readiness({ config }: AgentParts): Promise<string | undefined> {
  const to = { socketPath: `${config.bootstrap.directory}/pilotfish.sock` };
  try {
    const { status, body } = await httpRequest({ to, path: "/healthz/ready", timeout: ANSWER_WITHIN, limit: 65_536 });
    return status === 200 ? undefined : body.toString("utf8").trim();
  } catch (error) {
    return describeError(error);
  }
}

async function startHealth(parts: AgentParts): Promise<readonly (() => Promise<void>)[]> {
  const { config, env, log, onBug } = parts;
  const probe = readReadinessProbe(config.proxy.raw);
  const xds = parts.controlPlane()?.xds;
  if (probe === undefined) return [];
  if (xds === undefined) {
    log.info("The application's health is not asked for: there is no control plane to tell it to");
    return [];
  }
  const { createApplicationHealth } = await import("../status/application-health.ts");
  const { environmentForEnvoy } = await import("../process/envoy-command-line.ts");
  const check = createApplicationHealth({
    probe,
    clock: realClock,
    log: log.scoped("healthcheck"),
    family: config.node.ipAddresses[0]?.includes(":") === true ? "v6" : "v4",
    environment: environmentForEnvoy(env),
    envoy: () => readiness(parts),
    tell: (health) => xds.setApplicationHealth(health),
    onBug,
  });
  check.start();
  return [() => check.stop()];
}

async function startNotify(parts: AgentParts): Promise<readonly (() => Promise<void> | void)[]> {
  if (!parts.env.has("NOTIFY_SOCKET")) return [];
  const { serviceNotify } = await import("../system/service-notify.ts");
  const notify = serviceNotify(parts.env, selfPid);
  if (notify === undefined) return [];
  if ("unusable" in notify) {
    parts.log.warn("The service manager does not hear from us", { reason: notify.unusable });
    return [];
  }
  const end = new AbortController();
  const telling = tellReadiness(parts, notify, end.signal).catch(parts.onBug);
  const endWatch = notify.watch(realClock, () => true);
  return [
    endWatch,
    () => {
      end.abort();
      return telling;
    },
  ];
}

/** READY once, a line for `systemctl status` whenever the reason changes, and more time while connections end. */
async function tellReadiness(parts: AgentParts, notify: ServiceNotify, end: AbortSignal): Promise<void> {
  let ready = false;
  let told: string | undefined = "nothing yet";
  while (!end.aborted) {
    const because = await readiness(parts);
    if (because === undefined && !ready) notify.ready();
    ready ||= because === undefined;
    if (because !== told) notify.status(because ?? "serving");
    told = because;
    // Also after an order to drain alone: without an end under way systemd has no use for it.
    if (["draining", "stopping"].includes(parts.envoy.snapshot().state)) notify.extend(MORE_TIME);
    await pause(realClock, ready ? AFTERWARDS : UNTIL_READY, end);
  }
  notify.stopping();
}
