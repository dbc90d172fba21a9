import { describe, expect, test } from "vitest";
import { parseAllDocuments } from "yaml";
import { injectDocument } from "../../src/inject/inject-document.ts";
import { isObject, type Json, type JsonObject, objectOr, objectsOf } from "../../src/inject/json-value.ts";
import { objectAt, podPlace } from "../../src/inject/pod-kinds.ts";
import { objectionsTo } from "../helpers/kubernetes-schema.ts";
import { cases, configOf, inject, modes, readCase } from "./golden-cases.ts";
import { faultsOf } from "./validity.ts";

const documentsIn = (text: string): readonly JsonObject[] =>
  [...parseAllDocuments(text, { merge: true })].map((one) => one.toJS() as Json).filter(isObject);

const podsIn = (document: JsonObject): readonly JsonObject[] => {
  if (document["kind"] === "List") return objectsOf(document["items"]).flatMap(podsIn);
  const place = podPlace(document);
  const pod = place === undefined ? undefined : objectAt(document, place.path);
  return pod === undefined ? [] : [pod];
};

describe("Kubernetes takes every injected manifest", () => {
  for (const name of cases.filter((one) => one !== "traffic-bad")) {
    for (const mode of modes) {
      test(`${name}, ${mode}`, async () => {
        const { pod, config } = readCase(name);
        const documents = documentsIn(inject(pod, config, mode).text);
        for (const document of documents) expect(await objectionsTo(document)).toEqual([]);
        expect(documents.flatMap(podsIn).flatMap(faultsOf)).toEqual([]);
      });
    }
  }

  test("the schema and the rules bite", async () => {
    const document = { apiVersion: "v1", kind: "Pod", spec: { containers: [{ name: "a", image: 7 }] } };
    expect(await objectionsTo(document)).not.toEqual([]);
    const twice = { spec: { containers: [{ name: "a" }], initContainers: [{ name: "a", readinessProbe: {} }] } };
    expect(faultsOf(twice)).toHaveLength(3);
  });
});

describe("what the peer does badly (capture-and-injection.md 7.11 to 7.17)", () => {
  const config = configOf(undefined);
  const once = (document: JsonObject, mode: "native" | "classic"): JsonObject =>
    injectDocument(document, { namespace: "default", mode }, config).document;
  const readPod = (name: string): JsonObject => documentsIn(readCase(name).pod)[0] ?? {};

  test("native, then classic: one proxy, and it is among the containers", () => {
    const pod = once(once(readPod("seed-init-containers"), "native"), "classic");
    const spec = pod["spec"] as JsonObject;
    expect(objectsOf(spec["containers"]).map((one) => one["name"])).toEqual(["app", "istio-proxy"]);
    expect(objectsOf(spec["initContainers"]).map((one) => one["name"])).toEqual([
      "check-config",
      "wait-db",
      "istio-init",
    ]);
  });

  test("a user's wishes for the proxy survive, and the rules exempt the user it runs as", () => {
    const document = {
      kind: "Pod",
      spec: { containers: [{ name: "app" }, { name: "istio-proxy", securityContext: { runAsUser: 1234 } }] },
    };
    const twice = once(once(once(document, "native"), "classic"), "native");
    const inits = objectsOf((twice["spec"] as JsonObject)["initContainers"]);
    const args = inits[0]?.["args"] as readonly string[];
    expect(args.slice(args.indexOf("-u"), args.indexOf("-u") + 4)).toEqual(["-u", "1234", "-g", "1337"]);
    expect(objectOr(inits[1]?.["securityContext"])["runAsUser"]).toBe(1234);
  });

  test("classic: the start-up probe of a user's native sidecar asks the sidecar itself", () => {
    const spec = once(readPod("native-user-sidecar-probes"), "classic")["spec"] as JsonObject;
    const [, cache, init] = objectsOf(spec["initContainers"]);
    expect(objectOr(cache?.["startupProbe"])["httpGet"]).toEqual({ path: "/up", port: "cache" });
    const args = init?.["args"] as readonly string[];
    expect(args[args.indexOf("-d") + 1]).toBe("15090,15021,7000,15020");
  });

  test("one resource annotation leaves the other defaults, and a limit below the wish gives way", () => {
    const spec = once(readPod("resources"), "native")["spec"] as JsonObject;
    expect(objectsOf(spec["initContainers"])[1]?.["resources"]).toEqual({
      requests: { cpu: "4", memory: "128Mi" },
      limits: { cpu: "4", memory: "1024Mi" },
    });
  });

  test("a note names the place in the user's own document", () => {
    const document = {
      kind: "Pod",
      spec: {
        containers: [
          { name: "istio-proxy" },
          { name: "app", ports: [{ containerPort: 80 }, { containerPort: 15021 }] },
        ],
      },
    };
    const [outcome] = injectDocument(document, { namespace: "default", mode: "native" }, config).outcomes;
    expect(outcome?.done.kind === "injected" && outcome.done.notes.map((note) => note.pointer)).toEqual([
      "/spec/containers/1/ports/1",
    ]);
  });
});
