import fc from "fast-check";
import type { JsonObject } from "../../src/inject/json-value.ts";

/** Pods that an API server takes, with everything in them that injection touches. */

const some = <T>(value: fc.Arbitrary<T>) => fc.option(value, { nil: undefined });

function defined(model: Record<string, fc.Arbitrary<unknown>>): fc.Arbitrary<JsonObject> {
  return fc
    .record(model)
    .map((value) => Object.fromEntries(Object.entries(value).filter(([, one]) => one !== undefined)) as JsonObject);
}

const port = fc.constantFrom<string | number>("http", 8080, 9000);
const action: fc.Arbitrary<JsonObject>[] = [
  defined({
    httpGet: defined({ path: some(fc.constant("/x")), port, scheme: some(fc.constantFrom("HTTP", "HTTPS")) }),
  }),
  defined({ tcpSocket: defined({ port }) }),
  defined({ exec: fc.constant({ command: ["true"] }) }),
];
const timing = {
  timeoutSeconds: some(fc.integer({ min: 1, max: 9 })),
  periodSeconds: some(fc.integer({ min: 1, max: 9 })),
};
const merged = (parts: fc.Arbitrary<JsonObject>, more: fc.Arbitrary<JsonObject>): fc.Arbitrary<JsonObject> =>
  fc.tuple(parts, more).map(([left, right]) => ({ ...left, ...right }));
const probe = merged(fc.oneof(...action, fc.constant<JsonObject>({ grpc: { port: 9000 } })), defined(timing));
const hook = fc.oneof(...action, fc.constant<JsonObject>({ sleep: { seconds: 3 } }));

const base = {
  image: fc.constant("image:1"),
  args: some(fc.array(fc.string(), { maxLength: 2 })),
  env: some(
    fc
      .uniqueArray(fc.constantFrom("A", "B", "TRUST_DOMAIN"), { maxLength: 3 })
      .map((list) => list.map((name) => ({ name, value: "v" }))),
  ),
  volumeMounts: some(
    fc
      .uniqueArray(fc.constantFrom("/a", "/b"), { maxLength: 2 })
      .map((list) => list.map((mountPath) => ({ name: "v", mountPath }))),
  ),
  securityContext: some(fc.record({ runAsUser: fc.nat(2000) })),
  resources: some(
    fc.constantFrom<JsonObject>(
      { requests: { cpu: "1" } },
      { requests: { cpu: "1" }, limits: { cpu: "3", memory: "1Gi" } },
    ),
  ),
};
const asked = {
  ports: fc.constantFrom<JsonObject[]>(
    [{ containerPort: 8080, name: "http" }],
    [{ containerPort: 8080, name: "http" }, { containerPort: 9000 }],
  ),
  readinessProbe: some(probe),
  livenessProbe: some(probe),
  startupProbe: some(probe),
  lifecycle: some(defined({ preStop: some(hook), postStart: some(hook) })),
};
const kinds = {
  container: defined({ ...base, ...asked }),
  sidecar: defined({ ...base, ...asked, restartPolicy: fc.constant("Always") }),
  runOnce: defined(base),
};

const annotation = fc.constantFrom<[string, string]>(
  ["sidecar.istio.io/interceptionMode", "TPROXY"],
  ["sidecar.istio.io/interceptionMode", "NONE"],
  ["status.sidecar.istio.io/port", "25020"],
  ["prometheus.io/port", "8080"],
  ["sidecar.istio.io/proxyCPU", "4"],
  ["sidecar.istio.io/proxyMemoryLimit", "64Mi"],
  ["inject.istio.io/templates", "gateway"],
  ["sidecar.istio.io/status", "garbage"],
  ["proxy.istio.io/config", "holdApplicationUntilProxyStarts: true"],
  ["sidecar.istio.io/userVolume", '{"mine": {"emptyDir": {}}}'],
);

/** Names in any order: the first are containers, the others init containers. */
const names = fc.shuffledSubarray(["app", "web", "cache", "istio-proxy", "istio-init", "migrate", "shipper"], {
  minLength: 2,
});

const spec = names.chain((list) =>
  fc.integer({ min: 1, max: list.length }).chain((count) =>
    defined({
      containers: fc.tuple(
        ...list.slice(0, count).map((name) => kinds.container.map((one): JsonObject => ({ name, ...one }))),
      ),
      initContainers: some(
        fc.tuple(
          ...list
            .slice(count)
            .map((name) => fc.oneof(kinds.sidecar, kinds.runOnce).map((one): JsonObject => ({ name, ...one }))),
        ),
      ),
      volumes: fc.constantFrom<JsonObject[]>(
        [{ name: "v", emptyDir: {} }],
        [
          { name: "istio-data", emptyDir: {} },
          { name: "v", emptyDir: {} },
        ],
      ),
      terminationGracePeriodSeconds: some(fc.integer({ min: 5, max: 300 })),
      securityContext: some(fc.constant({ runAsNonRoot: true, runAsUser: 1000 })),
    }),
  ),
);

export const soundPod: fc.Arbitrary<JsonObject> = defined({
  apiVersion: fc.constant("v1"),
  kind: fc.constant("Pod"),
  metadata: defined({
    name: fc.constantFrom("pod", `${"long-".repeat(13)}name`),
    labels: some(fc.constantFrom<JsonObject>({ app: "x" }, { "app.kubernetes.io/name": "y", version: "v1" }, {})),
    annotations: some(fc.array(annotation, { maxLength: 3 }).map((list) => Object.fromEntries(list) as JsonObject)),
  }),
  spec,
});
