import type { InjectorConfig } from "./injector-config.ts";
import { type JsonObject, objectOr } from "./json-value.ts";
import { bootstrapOverrideFolder } from "./proxy-environment.ts";
import type { Settings } from "./settings.ts";

/** A volume of the pod together with where the proxy sees it. */
interface Mounted {
  readonly volume: JsonObject;
  readonly mount: JsonObject;
}

const empty = (name: string, mountPath: string, emptyDir: JsonObject = {}): Mounted => ({
  volume: { name, emptyDir },
  mount: { name, mountPath },
});

/** The volumes of capture-and-injection.md 5.1; none is ever written to a node's disk that holds a key. */
function mountedVolumes(config: InjectorConfig, settings: Settings): readonly Mounted[] {
  return [
    empty("workload-socket", "/var/run/secrets/workload-spiffe-uds"),
    empty("credential-socket", "/var/run/secrets/credential-uds"),
    empty("workload-certs", "/var/run/secrets/workload-spiffe-credentials"),
    {
      volume: { name: "istiod-ca-cert", configMap: { name: "istio-ca-root-cert" } },
      mount: { name: "istiod-ca-cert", mountPath: "/var/run/secrets/istio" },
    },
    {
      volume: { name: "istio-ca-crl", configMap: { name: "istio-ca-crl", optional: true } },
      mount: { name: "istio-ca-crl", mountPath: "/var/run/secrets/istio/crl" },
    },
    empty("istio-data", "/var/lib/istio/data"),
    empty("istio-envoy", "/etc/istio/proxy", { medium: "Memory" }),
    token(config),
    podInfo,
    ...(settings.bootstrapOverride === undefined ? [] : [bootstrapOverride(settings.bootstrapOverride)]),
  ];
}

const token = (config: InjectorConfig): Mounted => ({
  volume: {
    name: "istio-token",
    projected: {
      sources: [
        {
          serviceAccountToken: {
            audience: config.tokenAudience,
            expirationSeconds: config.tokenExpiration,
            path: "istio-token",
          },
        },
      ],
    },
  },
  mount: { name: "istio-token", mountPath: "/var/run/secrets/tokens" },
});

const podInfo: Mounted = {
  volume: {
    name: "istio-podinfo",
    downwardAPI: {
      items: [
        { path: "labels", fieldRef: { fieldPath: "metadata.labels" } },
        { path: "annotations", fieldRef: { fieldPath: "metadata.annotations" } },
      ],
    },
  },
  mount: { name: "istio-podinfo", mountPath: "/etc/istio/pod" },
};

const bootstrapOverride = (configMap: string): Mounted => ({
  volume: { name: "custom-bootstrap-volume", configMap: { name: configMap } },
  mount: { name: "custom-bootstrap-volume", mountPath: bootstrapOverrideFolder },
});

export function proxyVolumes(config: InjectorConfig, settings: Settings): readonly JsonObject[] {
  return [
    ...mountedVolumes(config, settings).map((one) => one.volume),
    ...Object.entries(settings.userVolumes).map(([name, volume]) => ({ ...objectOr(volume), name })),
  ];
}

export function proxyMounts(config: InjectorConfig, settings: Settings): readonly JsonObject[] {
  return [
    ...mountedVolumes(config, settings).map((one) => one.mount),
    ...Object.entries(settings.userVolumeMounts).map(([name, mount]) => ({ ...objectOr(mount), name })),
  ];
}
