import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { parseAllDocuments } from "yaml";
import { injectDocument, removeFromDocument } from "../../src/inject/inject-document.ts";
import type { Mode } from "../../src/inject/injector-config.ts";
import { applyOperations, difference } from "../../src/inject/json-patch.ts";
import { isArray, isObject, type Json, type JsonObject, objectOr, objectsOf } from "../../src/inject/json-value.ts";
import { arbitraryDocument, arbitraryJson, arbitraryPod } from "./arbitrary-pod.ts";
import { cases, configOf, inject as injectText, readCase } from "./golden-cases.ts";

const config = configOf(
  `templates: {x: {spec: {containers: [{name: app, env: [{name: X, value: "1"}]}], priorityClassName: p}}}\ndefaultTemplates: [sidecar, x]\nimagePullSecrets: [r]`,
);
const anyMode = fc.constantFrom<Mode | undefined>("native", "classic", undefined);
const plain = configOf(undefined);
const inject = (document: JsonObject, mode: Mode | undefined, settings = config): JsonObject =>
  injectDocument(document, { namespace: "default", mode }, settings).document;
const runs = { numRuns: Number(process.env["PILOTFISH_LAW_RUNS"] ?? 250) };

const ourNames = new Set(['"istio-proxy"', '"istio-init"', '"istio-validation"']);
const users = (pod: JsonObject, field: string): readonly Json[] =>
  objectsOf(objectOr(pod["spec"])[field])
    .map((one) => one["name"] ?? null)
    .filter((one) => !ourNames.has(JSON.stringify(one)));

describe("laws of injection", () => {
  test("twice, in any modes, is once in the last mode", () => {
    fc.assert(
      fc.property(arbitraryPod, anyMode, anyMode, anyMode, (pod, first, second, last) => {
        expect(inject(inject(inject(pod, first), second), last)).toEqual(inject(pod, last));
      }),
      runs,
    );
  });

  test("taking it back gives the original", () => {
    fc.assert(
      fc.property(arbitraryPod, anyMode, (pod, mode) => {
        expect(removeFromDocument(inject(pod, mode)).document).toEqual(pod);
      }),
      runs,
    );
  });

  test("the user's containers keep their order, and what is not about the proxy is untouched", () => {
    fc.assert(
      fc.property(arbitraryPod, anyMode, (pod, mode) => {
        const injected = inject(pod, mode, plain);
        for (const field of ["containers", "initContainers"]) expect(users(injected, field)).toEqual(users(pod, field));
        expect(injected["status"]).toEqual(pod["status"]);
        expect(objectOr(injected["spec"])["nodeSelector"]).toEqual(objectOr(pod["spec"])["nodeSelector"]);
        expect(objectOr(injected["metadata"])["finalizers"]).toEqual(objectOr(pod["metadata"])["finalizers"]);
      }),
      runs,
    );
  });

  test("there is one proxy at most, and one init container of ours", () => {
    fc.assert(
      fc.property(arbitraryPod, anyMode, anyMode, (pod, first, second) => {
        const injected = inject(inject(pod, first), second);
        if (objectOr(objectOr(injected["metadata"])["labels"])["pilotfish.dev/injected"] !== "true") return;
        const spec = objectOr(injected["spec"]);
        const names = [...objectsOf(spec["containers"]), ...objectsOf(spec["initContainers"])].map(
          (one) => one["name"],
        );
        expect(names.filter((one) => one === "istio-proxy")).toHaveLength(1);
        expect(names.filter((one) => one === "istio-init").length).toBeLessThanOrEqual(1);
      }),
      runs,
    );
  });

  test("no document makes it throw, and a difference always makes the one of the other", () => {
    fc.assert(
      fc.property(arbitraryDocument, anyMode, (document, mode) => {
        if (!isObject(document)) return;
        const injected = inject(document, mode);
        expect(applyOperations(document, difference(document, injected))).toEqual(injected);
        expect(difference(injected, inject(injected, mode))).toEqual([]);
        removeFromDocument(document);
      }),
      runs,
    );
  });

  test("a difference is right for any two values", () => {
    fc.assert(
      fc.property(arbitraryJson, arbitraryJson, (left, right) => {
        expect(applyOperations(left, difference(left, right))).toEqual(right);
      }),
      runs,
    );
  });

  test("containers in any order are followed by name", () => {
    const list = fc.uniqueArray(fc.constantFrom("a", "b", "c", "d", "e"));
    fc.assert(
      fc.property(list, list, (left, right) => {
        const listOf = (names: readonly string[]): Json => ({ containers: names.map((name) => ({ name })) });
        const [from, to] = [listOf(left), listOf(right)];
        const operations = difference(from, to);
        expect(applyOperations(from, operations)).toEqual(to);
        if (left.every((one) => right.includes(one))) expect(operations.length).toBeLessThanOrEqual(2 * right.length);
      }),
      runs,
    );
  });

  test("what others add to an injected pod survives the taking back", () => {
    const pod = { kind: "Pod", spec: { containers: [{ name: "app" }] } };
    const injected = inject(pod, "native");
    const spec = objectOr(injected["spec"]);
    const metadata = objectOr(injected["metadata"]);
    const volumes = spec["volumes"];
    const later: JsonObject = {
      ...injected,
      metadata: { ...metadata, annotations: { ...objectOr(metadata["annotations"]), theirs: "1" } },
      spec: { ...spec, volumes: [...(isArray(volumes) ? volumes : []), { name: "theirs" }] },
    };
    expect(removeFromDocument(later).document).toEqual({
      kind: "Pod",
      metadata: { annotations: { theirs: "1" } },
      spec: { containers: [{ name: "app" }], volumes: [{ name: "theirs" }] },
    });
  });
});

describe("files", () => {
  for (const name of cases) {
    test(`${name}: injected again is the same file, and removal gives it back`, () => {
      const { pod, config: own } = readCase(name);
      const [native, classic] = [injectText(pod, own, "native"), injectText(pod, own, "classic")];
      expect(injectText(native.text, own, "native").text).toBe(native.text);
      for (const [from, to, mode] of [
        [native, classic, "classic"],
        [classic, native, "native"],
      ] as const) {
        expect(documentsOf(injectText(from.text, own, mode).text)).toEqual(documentsOf(to.text));
        const bare = injectText(from.text, own, mode, true);
        expect(documentsOf(bare.text)).toEqual(documentsOf(injectText(pod, own, mode, true).text));
        // What was written in blocks comes back byte for byte; a line of braces stays the block that it became.
        if (name.startsWith("seed-") && name !== "seed-metrics-exporter") expect(bare.text).toBe(from.before);
      }
    });
  }
});

const documentsOf = (text: string): unknown =>
  [...parseAllDocuments(text, { merge: true })].map((one) => one.toJS() as unknown);
