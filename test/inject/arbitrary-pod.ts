import fc from "fast-check";
import type { Json, JsonObject } from "../../src/inject/json-value.ts";

/** Pods as people and machines write them: mostly sensible, sometimes strange, always with a spec and containers. */

const name = fc.constantFrom("app", "web", "cache", "istio-proxy", "istio-init", "sidecar", "a", "b");
const port = fc.oneof(fc.constantFrom<Json>("http", "nowhere", "8080"), fc.integer({ min: 1, max: 65_535 }));
const some = <T>(value: fc.Arbitrary<T>) => fc.option(value, { nil: undefined });

const probe: fc.Arbitrary<JsonObject> = fc.oneof(
  fc.record({ httpGet: fc.record({ path: fc.constantFrom("/", "/x"), port }), timeoutSeconds: fc.nat(9) }),
  fc.record({ tcpSocket: fc.record({ port }) }),
  fc.record({ grpc: fc.record({ port: fc.integer({ min: 1, max: 65_535 }) }) }),
  fc.record({ exec: fc.record({ command: fc.array(fc.string()) }) }),
  fc.record({ httpGet: fc.record({ host: fc.constant("other"), port }) }),
) as fc.Arbitrary<JsonObject>;

const container: fc.Arbitrary<JsonObject> = defined({
  name,
  image: fc.constantFrom("auto", "image:1"),
  restartPolicy: some(fc.constantFrom("Always", "OnFailure")),
  args: some(fc.array(fc.string(), { maxLength: 3 })),
  ports: some(
    fc.array(fc.record({ containerPort: fc.integer({ min: 1, max: 65_535 }), name: fc.constant("http") }), {
      maxLength: 2,
    }),
  ),
  env: some(
    fc.array(fc.record({ name: fc.constantFrom("A", "B", "PROXY_CONFIG"), value: fc.string() }), { maxLength: 3 }),
  ),
  volumeMounts: some(fc.array(fc.record({ name: fc.constant("v"), mountPath: fc.constantFrom("/a", "/b") }))),
  livenessProbe: some(probe),
  readinessProbe: some(probe),
  startupProbe: some(probe),
  lifecycle: some(defined({ preStop: some(probe), postStart: some(probe) })),
  securityContext: some(fc.record({ runAsUser: fc.nat(2000) })),
  resources: some(fc.jsonValue({ maxDepth: 2 })),
});

function defined(model: Record<string, fc.Arbitrary<unknown>>): fc.Arbitrary<JsonObject> {
  return fc
    .record(model)
    .map((value) => Object.fromEntries(Object.entries(value).filter(([, one]) => one !== undefined)) as JsonObject);
}

const key = fc.oneof(
  fc.constantFrom(
    "app",
    "version",
    "sidecar.istio.io/inject",
    "pilotfish.dev/inject",
    "prometheus.io/port",
    "__proto__",
  ),
  fc.string({ maxLength: 8 }),
);
const annotation = fc.oneof(
  fc.constantFrom<[string, string]>(
    ["sidecar.istio.io/nativeSidecar", "false"],
    ["sidecar.istio.io/interceptionMode", "TPROXY"],
    ["status.sidecar.istio.io/port", "25020"],
    ["prometheus.io/scrape", "true"],
    ["prometheus.io/port", "8080"],
    ["sidecar.istio.io/proxyCPU", "4"],
    ["inject.istio.io/templates", "gateway"],
    ["sidecar.istio.io/status", "garbage"],
    ["sidecar.istio.io/status", '{"containers":["x"],"pilotfish":7}'],
    ["proxy.istio.io/config", "holdApplicationUntilProxyStarts: true"],
    ["kubectl.kubernetes.io/default-container", "web"],
  ),
  fc.tuple(fc.string({ maxLength: 8 }), fc.string()),
);

const metadata = defined({
  name: some(fc.string()),
  labels: some(fc.oneof(fc.dictionary(key, fc.string({ maxLength: 5 }), { maxKeys: 3 }), fc.constant(null))),
  annotations: some(fc.array(annotation, { maxLength: 4 }).map((list) => Object.fromEntries(list) as JsonObject)),
  finalizers: some(fc.jsonValue({ maxDepth: 1 })),
});

const spec = defined({
  containers: fc.array(container, { minLength: 1, maxLength: 3 }),
  initContainers: some(fc.oneof(fc.array(container, { maxLength: 3 }), fc.constant(null))),
  volumes: some(
    fc.array(fc.record({ name: fc.constantFrom("v", "istio-data", "w"), emptyDir: fc.constant({}) }), { maxLength: 3 }),
  ),
  imagePullSecrets: some(fc.array(fc.record({ name: fc.constantFrom("r", "s") }))),
  terminationGracePeriodSeconds: some(fc.nat(300)),
  nodeSelector: some(fc.jsonValue({ maxDepth: 2 })),
});

/** As a parser gives it: JSON has no negative zero. */
const parsed = <T>(value: T): T => JSON.parse(JSON.stringify(value)) as T;

/** A pod whose shape is right; names may repeat and values may be nonsense. */
export const arbitraryPod: fc.Arbitrary<JsonObject> = defined({
  apiVersion: fc.constant("v1"),
  kind: fc.constant("Pod"),
  metadata: some(metadata),
  spec,
  status: some(fc.jsonValue({ maxDepth: 2 })),
}).map(parsed);

/** Anything at all that JSON can say, sometimes with a pod's outline. */
export const arbitraryDocument: fc.Arbitrary<Json> = fc
  .oneof(
    fc.jsonValue() as fc.Arbitrary<Json>,
    fc.record({
      kind: fc.constantFrom("Pod", "Deployment", "CronJob", "List", "JobList"),
      metadata: fc.jsonValue({ maxDepth: 3 }),
      spec: fc.jsonValue({ maxDepth: 5 }),
      items: fc.jsonValue({ maxDepth: 3 }),
    }) as fc.Arbitrary<Json>,
    arbitraryPod.map((pod): Json => ({ kind: "List", items: [pod, { kind: "Deployment", spec: { template: pod } }] })),
  )
  .map(parsed);

/** Any JSON value. */
export const arbitraryJson: fc.Arbitrary<Json> = (fc.jsonValue() as fc.Arbitrary<Json>).map(parsed);
