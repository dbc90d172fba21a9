import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, renameSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { beforeAll, describe, expect, test } from "vitest";
import { parseAllDocuments } from "yaml";
import { injectDocument, removeFromDocument } from "../../src/inject/inject-document.ts";
import { isObject, type Json, type JsonObject, objectOr, objectsOf } from "../../src/inject/json-value.ts";
import { objectAt, podPlace } from "../../src/inject/pod-kinds.ts";
import { root } from "../helpers/paths.ts";
import { cases, configOf, inject, modes, readCase } from "../inject/golden-cases.ts";
import { soundPod } from "../inject/sound-pod.ts";

/**
 * The API server's own code judges injected pods: Kubernetes' strict decoding and ValidatePodCreate, built from the
 * module k8s.io/kubernetes that test/helpers/pod-validation pins.
 */
const hasGo = spawnSync("go", ["version"]).status === 0;
const program = join(root, ".cache/deploy-tools/pod-validation-1.34.2");

/** For each pod what the API server would say against it. */
function objections(pods: readonly JsonObject[]): readonly (readonly string[])[] {
  const input = JSON.stringify(pods.map(admitted));
  return JSON.parse(execFileSync(program, { input, maxBuffer: 2 ** 28 }).toString()) as readonly (readonly string[])[];
}

/** What admission fills in before validation: kind, name, namespace, service account. */
const admitted = (pod: JsonObject): JsonObject => ({
  apiVersion: "v1",
  kind: "Pod",
  metadata: { name: "pod", uid: "u", namespace: "default", ...objectOr(pod["metadata"]) },
  spec: { serviceAccountName: "default", restartPolicy: "Always", ...objectOr(pod["spec"]) },
});

const podsIn = (text: string): readonly JsonObject[] =>
  [...parseAllDocuments(text, { merge: true })]
    .map((one) => one.toJS() as Json)
    .filter(isObject)
    .flatMap(podsOf);

function podsOf(document: JsonObject): readonly JsonObject[] {
  if (document["kind"] === "List") return objectsOf(document["items"]).flatMap(podsOf);
  const place = podPlace(document);
  const pod = place === undefined ? undefined : objectAt(document, place.path);
  return pod === undefined ? [] : [pod];
}

describe.skipIf(!hasGo)("judged by the API server's own code (which needs a Go compiler to be built)", () => {
  beforeAll(() => {
    mkdirSync(join(root, ".cache/deploy-tools"), { recursive: true });
    const cwd = join(root, "test/helpers/pod-validation");
    if (existsSync(program)) return;
    const fresh = `${program}.${process.pid}`;
    execFileSync("go", ["build", "-o", fresh, "."], { cwd, stdio: ["ignore", "ignore", "pipe"] });
    renameSync(fresh, program);
  }, 900_000);

  test("every injected manifest is a valid pod", () => {
    const all = cases
      .filter((name) => name !== "traffic-bad")
      .flatMap((name) => {
        const { pod, config } = readCase(name);
        return modes.flatMap((mode) =>
          podsIn(inject(pod, config, mode).text).map((one) => ({ name: `${name}, ${mode}`, one })),
        );
      });
    const answers = objections(all.map(({ one }) => one));
    expect(all.flatMap(({ name }, index) => (answers[index] ?? []).map((text) => `${name}: ${text}`))).toEqual([]);
  });

  test("a generated pod that is valid stays valid, in both modes and after both", () => {
    const config = configOf(undefined);
    const plain = fc.sample(soundPod, { numRuns: 1_500, seed: 20_261_121 });
    const answers = objections(plain);
    const good = plain.filter((_, index) => answers[index]?.length === 0);
    expect(good.length, JSON.stringify([...new Set(answers.flat())].slice(0, 5))).toBeGreaterThan(1_000);
    const once = (pod: JsonObject, mode: "native" | "classic") =>
      injectDocument(pod, { namespace: "default", mode }, config).document;
    const injected = good.flatMap((pod) => [
      once(pod, "native"),
      once(pod, "classic"),
      once(once(pod, "native"), "classic"),
    ]);
    expect([...new Set(objections(injected).flat())]).toEqual([]);
    expect(good.map((pod) => removeFromDocument(once(pod, "classic")).document)).toEqual(good);
  });

  test("it does refuse what is wrong", () => {
    const twice = {
      spec: {
        containers: [
          { name: "a", image: "b" },
          { name: "a", image: "b" },
        ],
        bogus: 1,
      },
    };
    expect(objections([twice]).flat().length).toBeGreaterThan(0);
  });
});
