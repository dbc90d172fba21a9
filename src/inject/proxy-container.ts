import type { ProbeSettings } from "./injector-config.ts";
import { defined, type JsonObject } from "./json-value.ts";
import { proxyName } from "./names.ts";
import { type ProxyFacts, proxyEnvironment } from "./proxy-environment.ts";
import { proxyResources } from "./resources.ts";
import { proxyMounts } from "./volumes.ts";

/** The proxy's container before overlays and before the user's own wishes for it. */
export function proxyContainer(facts: ProxyFacts): JsonObject {
  const { config, settings } = facts;
  return defined({
    name: proxyName,
    image: settings.image,
    imagePullPolicy: config.imagePullPolicy,
    args: proxyArguments(facts),
    restartPolicy: facts.native ? "Always" : undefined,
    env: proxyEnvironment(facts),
    ports: [{ containerPort: config.ports.prometheus, name: "http-envoy-prom", protocol: "TCP" }],
    lifecycle: config.proxy.lifecycle ?? lifecycle(facts),
    // A router is the pod's own application: nothing waits for it, so nothing needs a start-up gate.
    startupProbe: settings.role === "router" ? undefined : probe(facts, config.startupProbe),
    readinessProbe: probe(facts, settings.readinessProbe),
    resources: proxyResources(config.proxy.resources, settings.wanted),
    securityContext: securityContext(facts),
    volumeMounts: proxyMounts(config, settings),
  });
}

function proxyArguments({ config, settings }: ProxyFacts): readonly string[] {
  return [
    "proxy",
    settings.role,
    "--domain",
    `$(POD_NAMESPACE).svc.${config.clusterDomain}`,
    `--proxyLogLevel=${settings.logLevel}`,
    ...(settings.componentLogLevel === "" ? [] : [`--proxyComponentLogLevel=${settings.componentLogLevel}`]),
    `--log_output_level=${settings.agentLogLevel}`,
    ...(config.proxy.stsPort === 0 ? [] : [`--stsPort=${config.proxy.stsPort}`]),
    ...(config.proxy.logAsJson ? ["--log_as_json"] : []),
    ...(config.proxy.outlierLogPath === "" ? [] : [`--outlierLogPath=${config.proxy.outlierLogPath}`]),
  ];
}

/** Kubernetes defaults are written out, so that a pod that comes back from the API server looks the same. */
function probe(facts: ProxyFacts, settings: ProbeSettings): JsonObject | undefined {
  if (!settings.enabled) return undefined;
  return defined({
    httpGet: { path: "/healthz/ready", port: facts.config.ports.readiness },
    initialDelaySeconds: settings.initialDelaySeconds === 0 ? undefined : settings.initialDelaySeconds,
    periodSeconds: settings.periodSeconds,
    timeoutSeconds: settings.timeoutSeconds,
    failureThreshold: settings.failureThreshold,
  });
}

/**
 * Native: told to drain before the SIGTERM, at the port that this pod really has. Classic: nothing is started before
 * the proxy serves, if the application is to be held.
 */
function lifecycle({ config, settings, native }: ProxyFacts): JsonObject | undefined {
  if (native) {
    const command = ["pilot-agent", "request", `--debug-port=${settings.statusPort}`, "POST", "drain"];
    return { preStop: { exec: { command } } };
  }
  if (!settings.hold || settings.role === "router") return undefined;
  const { readiness } = config.ports;
  const url = readiness === 15_021 ? [] : [`--url=http://localhost:${readiness}/healthz/ready`];
  return { postStart: { exec: { command: ["pilot-agent", "wait", ...url] } } };
}

/** TPROXY: the sockets need CAP_NET_ADMIN, which only root keeps; the rules then know the proxy by its group. */
function securityContext({ config, settings }: ProxyFacts): JsonObject {
  const transparent = settings.interception === "TPROXY" && settings.role === "sidecar";
  return {
    allowPrivilegeEscalation: settings.coreDump,
    capabilities: transparent ? { add: ["NET_ADMIN"], drop: ["ALL"] } : { drop: ["ALL"] },
    privileged: false,
    readOnlyRootFilesystem: !settings.coreDump,
    runAsGroup: config.proxy.gid,
    runAsNonRoot: !transparent,
    runAsUser: transparent ? 0 : config.proxy.uid,
  };
}
