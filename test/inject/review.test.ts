import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { applyOperations, type Operation } from "../../src/inject/json-patch.ts";
import { isObject, type Json, type JsonObject, objectOr, objectsOf } from "../../src/inject/json-value.ts";
import { answerReview, configForPath, type ReviewAnswer } from "../../src/inject/review.ts";
import { arbitraryPod } from "./arbitrary-pod.ts";
import { configOf } from "./golden-cases.ts";

const config = configOf(undefined);
const pod: JsonObject = {
  apiVersion: "v1",
  kind: "Pod",
  metadata: { name: "web", labels: { app: "web" } },
  spec: { containers: [{ name: "web", image: "web:1", readinessProbe: { httpGet: { path: "/", port: 80 } } }] },
};

const review = (request: Json, more: JsonObject = {}): string =>
  JSON.stringify({ apiVersion: "admission.k8s.io/v1", kind: "AdmissionReview", request, ...more });
const creation = (object: Json, more: JsonObject = {}): JsonObject => ({
  uid: "u-1",
  kind: { group: "", version: "v1", kind: "Pod" },
  namespace: "shop",
  operation: "CREATE",
  object,
  ...more,
});
const ask = (request: Json, more?: JsonObject): ReviewAnswer => answerReview(review(request, more), config);
const responseOf = (answer: ReviewAnswer): JsonObject => objectOr(answer.body["response"]);

function patchOf(answer: ReviewAnswer): readonly Operation[] {
  const patch = responseOf(answer)["patch"];
  if (typeof patch !== "string") return [];
  return JSON.parse(Buffer.from(patch, "base64").toString("utf8")) as readonly Operation[];
}

describe("an admission review", () => {
  test("of a new pod is answered with the patch that injects it", () => {
    const answer = ask(creation(pod));
    expect(answer.status).toBe(200);
    expect(responseOf(answer)).toMatchObject({ uid: "u-1", allowed: true, patchType: "JSONPatch" });
    const injected = objectOr(applyOperations(pod, patchOf(answer)));
    expect(objectsOf(objectOr(injected["spec"])["initContainers"]).map((one) => one["name"])).toEqual([
      "istio-init",
      "istio-proxy",
    ]);
    expect(JSON.stringify(injected)).toContain("kubernetes://apis/v1/namespaces/shop/pods/web");
    expect(answer.outcome).toEqual({ result: "injected", reason: "", dryRun: false, namespace: "shop", pod: "web" });
  });

  test("has one patch, always in the same order, and no operation too many", () => {
    const paths = patchOf(ask(creation(pod))).map((one) => `${one.op} ${one.path}`);
    expect(new Set(Array.from({ length: 8 }, () => JSON.stringify(patchOf(ask(creation(pod)))))).size).toBe(1);
    expect(paths).toEqual([
      "add /metadata/labels/security.istio.io~1tlsMode",
      "add /metadata/labels/service.istio.io~1canonical-name",
      "add /metadata/labels/service.istio.io~1canonical-revision",
      "add /metadata/labels/pilotfish.dev~1injected",
      "add /metadata/labels/sidecar.istio.io~1inject",
      "add /metadata/annotations",
      "replace /spec/containers/0/readinessProbe/httpGet/path",
      "replace /spec/containers/0/readinessProbe/httpGet/port",
      "add /spec/initContainers",
      "add /spec/volumes",
    ]);
  });

  test("of a pod of a ReplicaSet knows the Deployment", () => {
    const owner = { apiVersion: "apps/v1", kind: "ReplicaSet", name: "web-7d4b9c6f5", controller: true };
    const metadata = {
      generateName: "web-7d4b9c6f5-",
      labels: { "pod-template-hash": "7d4b9c6f5" },
      ownerReferences: [owner],
    };
    const text = JSON.stringify(applyOperations({ ...pod, metadata }, patchOf(ask(creation({ ...pod, metadata })))));
    expect(text).toContain("kubernetes://apis/apps/v1/namespaces/shop/deployments/web");
  });

  test("again, after the API server filled in its defaults, changes nothing", () => {
    const given = withToken(pod);
    const injected = objectOr(applyOperations(given, patchOf(ask(creation(given)))));
    const filled = withToken(withDefaults(injected));
    const answer = ask(creation(filled));
    expect(answer.outcome).toMatchObject({ result: "skipped", reason: "already-injected" });
    expect(responseOf(answer)).toEqual({ uid: "u-1", allowed: true });
  });

  test("dry run gets the same patch", () => {
    const answer = ask(creation(pod, { dryRun: true }));
    expect(answer.outcome.dryRun).toBe(true);
    expect(patchOf(answer)).toEqual(patchOf(ask(creation(pod))));
  });

  test("a pod that does not say that it is one is known by the request", () => {
    const { kind: _, ...nameless } = pod;
    expect(patchOf(ask(creation(nameless)))).toEqual(patchOf(ask(creation(pod))));
  });

  test("of v1beta1 is answered in kind", () => {
    const answer = answerReview(review(creation(pod), { apiVersion: "admission.k8s.io/v1beta1" }), config);
    expect(answer.body["apiVersion"]).toBe("admission.k8s.io/v1beta1");
  });

  test("warnings reach the person who runs kubectl", () => {
    const typo = { ...pod, metadata: { name: "web", annotations: { "sidecar.istio.io/proxyCPUs": "1" } } };
    expect(responseOf(ask(creation(typo)))["warnings"]).toEqual([
      "Istio has no annotation sidecar.istio.io/proxyCPUs, so nothing reads it; check its name",
    ]);
  });

  test("the cluster and network of the path count", () => {
    const changed = configForPath("/inject/cluster/west/net/n%201?timeout=5s", config);
    expect(changed).toMatchObject({ clusterId: "west", network: "n 1" });
    expect(
      ["/", "/inject/cluster", "/inject/x/y", "/inject/cluster/%zz", "inject"].map((path) =>
        configForPath(path, config),
      ),
    ).toEqual(Array.from({ length: 5 }, () => undefined));
  });
});

/** What the service account's part of the API server does before and after us: each container mounts the token. */
function withToken(object: JsonObject): JsonObject {
  const name = "kube-api-access-x";
  const mount = { name, mountPath: "/var/run/secrets/kubernetes.io/serviceaccount", readOnly: true };
  const others = (list: Json | undefined) => objectsOf(list).filter((one) => one["name"] !== name);
  const mounted = (container: JsonObject): JsonObject => ({
    ...container,
    volumeMounts: [...others(container["volumeMounts"]), mount],
  });
  const spec = objectOr(object["spec"]);
  const inits = objectsOf(spec["initContainers"]).map(mounted);
  return {
    ...object,
    spec: {
      ...spec,
      containers: objectsOf(spec["containers"]).map(mounted),
      ...(inits.length === 0 ? {} : { initContainers: inits }),
      volumes: [...others(spec["volumes"]), { name, projected: {} }],
    },
  };
}

/** Fields that the API server fills in where nobody wrote them. */
function withDefaults(injected: JsonObject): JsonObject {
  const fill = (container: JsonObject): JsonObject => ({
    ...container,
    imagePullPolicy: "IfNotPresent",
    terminationMessagePath: "/dev/termination-log",
  });
  const spec = objectOr(injected["spec"]);
  return {
    ...injected,
    spec: {
      ...spec,
      containers: objectsOf(spec["containers"]).map(fill),
      initContainers: objectsOf(spec["initContainers"]).map(fill),
      dnsPolicy: "ClusterFirst",
    },
  };
}

describe("what is let through unchanged", () => {
  test.each<[string, JsonObject, string]>([
    ["an update", creation(pod, { operation: "UPDATE" }), "operation"],
    ["a deletion", creation(null, { operation: "DELETE" }), "operation"],
    ["a subresource", creation(pod, { subResource: "ephemeralcontainers" }), "subresource"],
    ["another kind", creation({ apiVersion: "apps/v1", kind: "Deployment" }), "kind"],
    [
      "a pod of the node's network",
      creation({ ...pod, spec: { ...objectOr(pod["spec"]), hostNetwork: true } }),
      "host-network",
    ],
    ["a pod of kube-system", creation(pod, { namespace: "kube-system" }), "ignored-namespace"],
  ])("%s", (_, request, reason) => {
    const answer = ask(request);
    expect(responseOf(answer)).toEqual({ uid: "u-1", allowed: true });
    expect(answer.outcome).toMatchObject({ result: "skipped", reason });
  });
});

describe("a bad review gets an answer with the reason", () => {
  test.each<[string, string, string]>([
    ["no body", "", "the body is empty"],
    ["no JSON", "{", "the body is no JSON"],
    ["another JSON", "[]", "it is no AdmissionReview but another kind of JSON"],
    ["another kind", JSON.stringify({ kind: "Pod" }), "it is no AdmissionReview of"],
    [
      "another version",
      JSON.stringify({ kind: "AdmissionReview", apiVersion: "admission.k8s.io/v9" }),
      "it is no AdmissionReview of",
    ],
    ["no request", review(null), "the review has no request"],
    ["no uid", review({}), "the request has no uid"],
    ["100,000 levels", `${"[".repeat(100_000)}${"]".repeat(100_000)}`, "it is no AdmissionReview but"],
    [
      "100,000 levels inside",
      review(7).replace("7", `${'{"a":'.repeat(100_000)}1${"}".repeat(100_000)}`),
      "nested deeper than 100",
    ],
  ])("%s", (_, text, why) => {
    const answer = answerReview(text, config);
    expect(answer.status).toBe(400);
    expect(responseOf(answer)["allowed"]).toBe(false);
    expect(objectOr(responseOf(answer)["status"])["message"]).toContain(why);
    expect(answer.outcome.result).toBe("bad");
  });

  test.each<[string, Json, string]>([
    ["no object", undefined as unknown as Json, "the request has no object"],
    ["a text as object", "pod", "the request has no object"],
    ["no spec", { kind: "Pod" }, "/spec: a pod needs a spec"],
    [
      "containers of the wrong type",
      { kind: "Pod", spec: { containers: { name: "x" } } },
      "/spec/containers: a pod needs at least one",
    ],
    [
      "a label that is a number",
      { kind: "Pod", metadata: { labels: { a: 1 } }, spec: { containers: [{ name: "a" }] } },
      "/metadata/labels/a: 1 is not a text",
    ],
    [
      "a bad annotation",
      { ...pod, metadata: { annotations: { "sidecar.istio.io/proxyCPU": "x" } } },
      '"x" is not a quantity',
    ],
  ])("%s", (_, object, why) => {
    const answer = ask(creation(object));
    expect(answer.status).toBe(200);
    expect(responseOf(answer)).toMatchObject({ uid: "u-1", allowed: false });
    expect(objectOr(responseOf(answer)["status"])["message"]).toContain(why);
    expect(answer.outcome.result).toBe("refused");
  });

  test("what is made to cost time costs little", () => {
    const many = (count: number, make: (index: number) => Json): Json =>
      Array.from({ length: count }, (_, index) => make(index));
    const withContainers = (containers: Json): Json => ({ kind: "Pod", spec: { containers } });
    const annotated = (annotations: JsonObject): Json => ({ ...pod, metadata: { name: "x", annotations } });
    const keys = Object.fromEntries(Array.from({ length: 30_000 }, (_, index) => [`k${index}`, 1]));
    const steps = Array.from({ length: 20_000 }, (_, index) => `/metadata/labels/l${index}`);
    const hostile: readonly [Json, "refused" | "injected" | "bad"][] = [
      [withContainers(many(200_000, (index) => ({ name: `c${index}` }))), "bad"],
      [withContainers(many(4_900, (index) => ({ name: `c${index}` }))), "injected"],
      [annotated({ "proxy.istio.io/config": JSON.stringify(keys) }), "injected"],
      [annotated({ "proxy.istio.io/config": `${"[".repeat(3_000)}${"]".repeat(3_000)}` }), "refused"],
      [annotated({ "sidecar.istio.io/status": JSON.stringify({ pilotfish: { added: steps } }) }), "injected"],
      [
        annotated({
          "sidecar.istio.io/status": `{"pilotfish":{"was":{"/spec":${"[".repeat(9_000)}${"]".repeat(9_000)}}}}`,
        }),
        "injected",
      ],
      [{ ...pod, metadata: { generateName: `${"-".repeat(1_000_000)}x` } }, "injected"],
      [
        {
          ...pod,
          metadata: { labels: Object.fromEntries(Array.from({ length: 50_000 }, (_, index) => [`l${index}`, ""])) },
        },
        "injected",
      ],
    ];
    for (const [object, result] of hostile) expect(ask(creation(object)).outcome.result).toBe(result);
  }, 20_000);

  test("nothing at all makes it throw", () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.json()), fc.jsonValue(), arbitraryPod, (text, value, any) => {
        expect(isObject(answerReview(text, config).body)).toBe(true);
        expect(isObject(ask(value as Json).body)).toBe(true);
        expect(isObject(ask(creation(value as Json)).body)).toBe(true);
        expect(ask(creation(any)).status).toBe(200);
      }),
      { numRuns: 300 },
    );
  });
});
