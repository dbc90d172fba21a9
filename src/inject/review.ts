import { injectPod, type PodResult } from "./inject-pod.ts";
import type { InjectorConfig } from "./injector-config.ts";
import { difference } from "./json-patch.ts";
import {
  equal,
  isArray,
  isObject,
  type Json,
  type JsonObject,
  objectOr,
  own,
  stringOr,
  textOf,
  tooLarge,
  withKey,
} from "./json-value.ts";
import { namesIn } from "./merge-keys.ts";
import { podPlace } from "./pod-kinds.ts";

/** What became of a review, for metrics and log. */
export interface ReviewOutcome {
  readonly result: "injected" | "skipped" | "refused" | "bad";
  /** Why it was skipped or what is wrong, in one or two words. */
  readonly reason: string;
  readonly dryRun: boolean;
  readonly namespace: string;
  readonly pod: string;
}

export interface ReviewAnswer {
  /** HTTP status: 200 for every review that could be read. */
  readonly status: number;
  readonly body: JsonObject;
  readonly outcome: ReviewOutcome;
}

const versions = ["admission.k8s.io/v1", "admission.k8s.io/v1beta1"];

/** The answer to an AdmissionReview, whatever it holds. Pure; never throws. */
export function answerReview(text: string, config: InjectorConfig): ReviewAnswer {
  const review = parsed(text);
  if (typeof review === "string") return bad("", review, versions[0] ?? "");
  const version = stringOr(own(review, "apiVersion"), "");
  if (own(review, "kind") !== "AdmissionReview" || !versions.includes(version)) {
    return bad("", `it is no AdmissionReview of ${versions.join(" or ")}`, versions[0] ?? "");
  }
  const request = own(review, "request");
  if (!isObject(request)) return bad("", "the review has no request", version);
  const uid = own(request, "uid");
  if (typeof uid !== "string" || uid === "") return bad("", "the request has no uid", version);
  return { status: 200, ...judge(request, uid, version, config) };
}

function parsed(text: string): JsonObject | string {
  try {
    const value = JSON.parse(text) as Json;
    if (!isObject(value)) return "it is no AdmissionReview but another kind of JSON";
    return tooLarge(value) ?? value;
  } catch {
    return text === "" ? "the body is empty" : "the body is no JSON";
  }
}

const bad = (uid: string, why: string, version: string): ReviewAnswer => ({
  status: 400,
  body: answer(version, { uid, allowed: false, status: { code: 400, message: `cannot inject: ${why}` } }),
  outcome: { result: "bad", reason: why, dryRun: false, namespace: "", pod: "" },
});

const answer = (apiVersion: string, response: JsonObject): JsonObject => ({
  kind: "AdmissionReview",
  apiVersion,
  response,
});

type Judged = Omit<ReviewAnswer, "status">;

/** Only the creation of a pod is changed; everything else is let through unread. */
function judge(request: JsonObject, uid: string, version: string, config: InjectorConfig): Judged {
  const object = own(request, "object");
  const namespace = stringOr(own(request, "namespace"), "default");
  const facts = { dryRun: own(request, "dryRun") === true, namespace, pod: podName(object) };
  const pass = (reason: string): Judged => ({
    body: answer(version, { uid, allowed: true }),
    outcome: { ...facts, result: "skipped", reason },
  });
  const refuse = (why: string): Judged => ({
    body: answer(version, { uid, allowed: false, status: { code: 400, message: `cannot inject the proxy: ${why}` } }),
    outcome: { ...facts, result: "refused", reason: why },
  });
  if (own(request, "operation") !== "CREATE") return pass("operation");
  if (typeof own(request, "subResource") === "string" && own(request, "subResource") !== "") return pass("subresource");
  if (!isObject(object)) return refuse("the request has no object");
  const kind = own(object, "kind") ?? own(objectOr(own(request, "kind")), "kind") ?? null;
  if (kind !== "Pod") return pass("kind");
  const place = podPlace({ ...object, kind });
  if (place === undefined) return pass("kind");
  const podFacts = { owner: place.owner, namespace, mode: undefined, selectorLabels: new Set<string>(), path: [] };
  const result = injectPod(object, podFacts, config);
  return finish(result, object, { pass, refuse, facts, uid, version });
}

interface Ways {
  readonly pass: (reason: string) => Judged;
  readonly refuse: (why: string) => Judged;
  readonly facts: Omit<ReviewOutcome, "result" | "reason">;
  readonly uid: string;
  readonly version: string;
}

function finish(result: PodResult, given: JsonObject, ways: Ways): Judged {
  switch (result.kind) {
    case "unusable":
      return ways.refuse(result.problems.map(({ name, text }) => `${name}: ${text}`).join("; "));
    case "left-alone":
      return equal(result.pod, given) ? ways.pass(result.why.reason) : patched(result.pod, given, [], ways);
    case "injected": {
      // Reinvoked: the API server has filled in its defaults meanwhile, and there is nothing to add.
      if (covers(given, result.pod)) return ways.pass("already-injected");
      const warnings = result.notes.filter((note) => note.level === "warning").map((note) => note.text);
      return patched(result.pod, given, warnings, ways);
    }
  }
}

function patched(pod: JsonObject, given: JsonObject, warnings: readonly string[], ways: Ways): Judged {
  const patch = Buffer.from(JSON.stringify(difference(given, pod))).toString("base64");
  const response: JsonObject = { uid: ways.uid, allowed: true, patch, patchType: "JSONPatch" };
  const told = warnings.slice(0, 10).map((text) => (text.length > 256 ? `${text.slice(0, 253)}...` : text));
  return {
    body: answer(ways.version, told.length === 0 ? response : withKey(response, "warnings", told)),
    outcome: { ...ways.facts, result: "injected", reason: "" },
  };
}

/**
 * Whether `value` has everything that `part` has: more keys do no harm, nor do more elements of a named list (the
 * service account's token is mounted into our containers as well).
 */
function covers(value: Json | undefined, part: Json, field = ""): boolean {
  if (isArray(value) && isArray(part)) return coversList(value, part, field);
  if (!isObject(value) || !isObject(part)) return equal(value, part);
  return Object.entries(part).every(([key, one]) => covers(own(value, key), one, key));
}

function coversList(value: readonly Json[], part: readonly Json[], field: string): boolean {
  const [names, wanted] = [namesIn(field, value), namesIn(field, part)];
  if (names === undefined || wanted === undefined) return equal(value, part);
  const places = wanted.map((name) => names.indexOf(name));
  const inOrder = places.every((place, index) => place > (places[index - 1] ?? -1));
  const there = !places.includes(-1) && (inOrder || !["containers", "initContainers", "env"].includes(field));
  return there && part.every((one, index) => covers(value[places[index] ?? -1], one));
}

function podName(object: Json | undefined): string {
  const metadata = isObject(object) ? own(object, "metadata") : undefined;
  if (!isObject(metadata)) return "";
  return textOf(own(metadata, "name")) ?? stringOr(own(metadata, "generateName"), "");
}

/**
 * The configuration for a request's path: `/inject`, or `/inject/cluster/NAME/net/NAME` for a webhook that serves
 * several clusters. Undefined: there is no such path.
 */
export function configForPath(path: string, config: InjectorConfig): InjectorConfig | undefined {
  const [pathname = ""] = path.split("?");
  const [empty, first, ...rest] = pathname.split("/");
  if (empty !== "" || first !== "inject" || rest.length % 2 !== 0) return undefined;
  let result = config;
  for (let at = 0; at < rest.length; at += 2) {
    const value = decoded(rest[at + 1] ?? "");
    if (value === undefined || value === "") return undefined;
    if (rest[at] === "cluster") result = { ...result, clusterId: value };
    else if (rest[at] === "net" || rest[at] === "network") result = { ...result, network: value };
    else return undefined;
  }
  return result;
}

function decoded(text: string): string | undefined {
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined;
  }
}
