import { describe, expect, test } from "vitest";
import { localityOf } from "../../src/config/locality.ts";
import { addressFamilies, nodeAddresses, type PodAddress } from "../../src/config/node-addresses.ts";
import { Notices } from "../../src/config/notices.ts";
import { serviceCluster } from "../../src/config/service-cluster.ts";
import { agentConfig, type ConfigCase } from "../fakes/agent-config.ts";

const node = (given: ConfigCase = {}) => agentConfig(given).node;

describe("the node's id", () => {
  test.each<readonly [title: string, given: ConfigCase, nodeId: string]>([
    ["from the pod", {}, "sidecar~10.0.0.1~web-1.shop~shop.svc.cluster.local"],
    ["a gateway", { args: ["router"] }, "router~10.0.0.1~web-1.shop~shop.svc.cluster.local"],
    ["a waypoint", { args: ["waypoint"] }, "waypoint~10.0.0.1~web-1.shop~shop.svc.cluster.local"],
    ["--domain", { args: ["--domain", "x.y"] }, "sidecar~10.0.0.1~web-1.shop~x.y"],
    ["--id and --ip", { args: ["--id=i", "--ip=10.9.9.9"] }, "sidecar~10.9.9.9~i~shop.svc.cluster.local"],
    ["--service-node", { args: ["--service-node", "grpc-service"] }, "grpc-service"],
    ["nothing is known", { env: { POD_NAME: "", POD_NAMESPACE: "" } }, "sidecar~10.0.0.1~.~.svc.cluster.local"],
  ])("%s", (_title, given, nodeId) => {
    expect(node(given).nodeId).toBe(nodeId);
  });
});

test("an id that no control plane accepts is told, unless nobody is meant to see it", () => {
  const env = { POD_NAME: "", POD_NAMESPACE: "" };
  const told = (...args: readonly string[]) => agentConfig({ env, args }).notices;
  expect(told()).toEqual([expect.stringMatching(/^POD_NAME and POD_NAMESPACE not set: the node's id lacks it/)]);
  for (const args of [["--id=x"], ["--service-node=x"], ["-c", "/envoy.yaml"]]) expect(told(...args)).toEqual([]);
});

describe("addresses", () => {
  const at = (interfaceName: string, address: string, more: Partial<PodAddress> = {}): PodAddress => ({
    interfaceName,
    address,
    loopback: false,
    linkLocal: false,
    ...more,
  });
  const pod = [
    at("lo", "127.0.0.1", { loopback: true }),
    at("eth0", "10.0.0.1"),
    at("eth0", "fd00::1"),
    at("eth0", "fe80::1", { linkLocal: true }),
    at("net1", "192.168.1.1"),
  ];
  const found = (main?: string, excludedInterfaces?: string, addresses: readonly PodAddress[] = pod) => {
    const notices = new Notices();
    return [nodeAddresses({ main, found: addresses, excludedInterfaces }, notices), notices.all] as const;
  };

  test.each<readonly [title: string, ...Parameters<typeof found>, readonly string[]]>([
    ["the main one first, each once", "fd00::1", undefined, pod, ["fd00::1", "10.0.0.1", "192.168.1.1"]],
    ["without a main one", undefined, undefined, pod, ["10.0.0.1", "fd00::1", "192.168.1.1"]],
    ["an excluded interface", undefined, " net1 ", pod, ["10.0.0.1", "fd00::1"]],
    ["the main one stays", "10.0.0.1", "eth0,net1", pod, ["10.0.0.1"]],
    ["nothing but loopback", undefined, undefined, pod.slice(0, 1), ["127.0.0.1", "::1"]],
    ["everything excluded", undefined, "eth0,net1", pod, ["127.0.0.1"]],
  ])("%s", (_title, main, excluded, addresses, expected) => {
    expect(found(main, excluded, addresses)).toEqual([expected, []]);
  });

  test("what can't be is told", () => {
    expect(found("10.0.0.256", "eth7")).toEqual([
      ["10.0.0.1", "fd00::1", "192.168.1.1"],
      [
        'INSTANCE_IP "10.0.0.256" is no address; it is ignored',
        'annotation traffic.sidecar.istio.io/excludeInterfaces: there is no interface "eth7"',
      ],
    ]);
  });

  test.each([
    [["10.0.0.1"], false, "v4"],
    [["fd00::1"], false, "v6"],
    [["10.0.0.1", "fd00::1"], false, "v4"],
    [["fd00::1", "10.0.0.1"], true, "dual"],
    [["10.0.0.1"], true, "v4"],
  ] as const)("families of %s, dual stack %s: %s", (addresses, dual, families) => {
    expect(addressFamilies(addresses, dual)).toBe(families);
  });
});

describe("the cluster's name", () => {
  const facts = { serviceCluster: "istio-proxy", labels: new Map<string, string>(), workloadName: "", namespace: "ns" };
  const labels = new Map([["app", "web"]]);
  const canonical = new Map([...labels, ["service.istio.io/canonical-name", "shop"]]);
  test.each([
    ["as it was set", { serviceCluster: "mine", labels }, "mine"],
    ["from label app", { labels }, "web.ns"],
    ["from the workload", { workloadName: "web-v1" }, "web-v1.ns"],
    ["from the namespace", {}, "istio-proxy.ns"],
    ["from nothing", { namespace: "" }, "istio-proxy"],
    ["canonical name", { labels: canonical, tracingServiceName: "CANONICAL_NAME_ONLY" }, "shop"],
    [
      "canonical name and namespace",
      { labels: canonical, tracingServiceName: "CANONICAL_NAME_AND_NAMESPACE" },
      "shop.ns",
    ],
    ["canonical name without labels", { workloadName: "w", tracingServiceName: "CANONICAL_NAME_ONLY" }, "w"],
  ] as const)("%s", (_title, more, name) => {
    expect(serviceCluster({ ...facts, tracingServiceName: "APP_LABEL_AND_NAMESPACE", ...more })).toBe(name);
  });

  test("--service-cluster is taken as it is", () => {
    expect(node({ args: ["--service-cluster=c", "--serviceCluster=d"], labels: { app: "web" } }).cluster).toBe("c");
  });
});

describe("locality", () => {
  const place = (labels: Readonly<Record<string, string>>, env?: string) =>
    localityOf(new Map(Object.entries(labels)), env);
  test.each([
    [{ "istio-locality": "r.z.s" }, undefined, { region: "r", zone: "z", subZone: "s" }],
    [{ "istio-locality": "r/z.1" }, undefined, { region: "r", zone: "z.1", subZone: "" }],
    [{ "istio-locality": "r", "topology.kubernetes.io/zone": "z" }, "e/f", { region: "r", zone: "", subZone: "" }],
    [{ "topology.kubernetes.io/zone": "z" }, "e/f", { region: "e", zone: "f", subZone: "" }],
    [
      { "topology.kubernetes.io/region": "r", "topology.kubernetes.io/zone": "z", "topology.istio.io/subzone": "s" },
      undefined,
      { region: "r", zone: "z", subZone: "s" },
    ],
    [{ "istio-locality": "" }, "e", { region: "e", zone: "", subZone: "" }],
    [{ app: "web" }, undefined, undefined],
  ])("%j and %s", (labels, env, expected) => {
    expect(place(labels, env)).toEqual(expected);
  });

  test("the label is told in its full form, and --service-zone beats its zone", () => {
    const labels = { "istio-locality": "r.z.s" };
    expect(node({ labels }).metadata["LABELS"]).toEqual({ "istio-locality": "r/z/s" });
    expect(node({ labels, args: ["--service-zone", "y"] }).locality).toEqual({ region: "r", zone: "y", subZone: "s" });
    expect(node({ env: { ISTIO_METAJSON_LABELS: '{"istio-locality":"a.b"}' } }).locality?.zone).toBe("b");
  });
});

describe("metadata", () => {
  test("what an ordinary pod tells", () => {
    const { metadata } = node({
      labels: { app: "web", "pod-template-hash": "abc" },
      annotations: { "sidecar.istio.io/inject": "true" },
      env: {
        SERVICE_ACCOUNT: "web-sa",
        ISTIO_META_CLUSTER_ID: "Kubernetes",
        ISTIO_META_WORKLOAD_NAME: "web",
        ISTIO_META_OWNER: "kubernetes://apis/apps/v1/namespaces/shop/deployments/web",
        ISTIO_META_POD_PORTS: '[{"containerPort":8080}]',
        EXIT_ON_ZERO_ACTIVE_CONNECTIONS: "true",
        ENVOY_SECURE_METRICS_PORT: "15091",
      },
      args: ["--outlierLogPath=/o", "--stsPort", "15463"],
    });
    const { PROXY_CONFIG: proxyConfig, ...rest } = metadata;
    expect(proxyConfig).toMatchObject({ drainDuration: "45s", statusPort: 15_020 });
    expect(rest).toEqual({
      ISTIO_VERSION: "1.32.0",
      CLUSTER_ID: "Kubernetes",
      WORKLOAD_NAME: "web",
      OWNER: "kubernetes://apis/apps/v1/namespaces/shop/deployments/web",
      POD_PORTS: '[{"containerPort":8080}]',
      NAME: "web-1",
      NAMESPACE: "shop",
      SERVICE_ACCOUNT: "web-sa",
      INSTANCE_IPS: "10.0.0.1",
      LABELS: { app: "web" },
      ANNOTATIONS: { "sidecar.istio.io/inject": "true" },
      PILOT_SAN: ["istiod.istio-system.svc"],
      ENVOY_STATUS_PORT: 15_021,
      ENVOY_PROMETHEUS_PORT: 15_090,
      ENVOY_SECURE_METRICS_PORT: 15_091,
      STS_PORT: "15463",
      EXIT_ON_ZERO_ACTIVE_CONNECTIONS: "true",
      ENVOY_SKIP_DEPRECATED_LOGS: "true",
      OUTLIER_LOG_PATH: "/o",
    });
  });

  test("objects of ISTIO_METAJSON_* are joined, labels of it are the weaker labels", () => {
    const { metadata, labels } = node({
      env: { ISTIO_METAJSON_LABELS: '{"app":"env","tier":"1"}', ISTIO_METAJSON_X: '{"A":{"b":[1]},"C":true}' },
      labels: { app: "pod" },
    });
    expect(metadata).toMatchObject({ A: { b: [1] }, C: true, STATIC_LABELS: { app: "env", tier: "1" } });
    expect(Object.fromEntries(labels)).toEqual({ app: "pod", tier: "1" });
  });

  test("what we know beats what the environment says", () => {
    const env = {
      ISTIO_META_NAMESPACE: "other",
      ISTIO_META_INSTANCE_IPS: "1.1.1.1",
      ISTIO_META_ISTIO_VERSION: "1.20.0",
    };
    expect(node({ env }).metadata).toMatchObject({
      NAMESPACE: "shop",
      INSTANCE_IPS: "10.0.0.1",
      ISTIO_VERSION: "1.20.0",
    });
  });

  test("proxyMetadata counts too, the environment beats it", () => {
    const env = {
      PROXY_CONFIG: "proxyMetadata: {ISTIO_META_A: proxy, ISTIO_META_B: proxy, C: x}",
      ISTIO_META_B: "env",
    };
    const { metadata } = node({ env });
    expect(metadata).toMatchObject({ A: "proxy", B: "env" });
    expect(metadata).not.toHaveProperty("C");
  });

  test("unusable JSON is a notice, as the peer goes on", () => {
    const config = agentConfig({ env: { ISTIO_METAJSON_A: "{", ISTIO_METAJSON_B: "[]" } });
    expect(config.notices).toEqual([
      "ISTIO_METAJSON_A is no JSON object; it is ignored",
      "ISTIO_METAJSON_B is no JSON object; it is ignored",
    ]);
  });

  test("the control plane's name: of the host, of ISTIOD_SAN, not that of a port forward", () => {
    const names = (given: ConfigCase) => node(given).metadata["PILOT_SAN"];
    expect(names({ args: ["--discoveryAddress=[::1]:15012"] })).toEqual(["::1"]);
    expect(names({ args: ["--discoveryAddress=localhost:15012"] })).toEqual(["istiod.istio-system.svc"]);
    expect(names({ env: { ISTIOD_SAN: "istiod.mesh" } })).toEqual(["istiod.mesh"]);
    expect(names({ args: ["--controlPlaneAuthPolicy", "NONE"] })).toBeUndefined();
  });

  test("a secret of the tracer is not told to the control plane", () => {
    const config = agentConfig({ args: ["--lightstepAddress=l:1", "--lightstepAccessToken=geheim"] });
    expect(config.proxy.tracing).toMatchObject({ kind: "opentelemetry", accessToken: "geheim" });
    expect(JSON.stringify(config.node.metadata)).not.toContain("geheim");
  });
});
