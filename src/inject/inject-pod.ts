import type { Problem } from "../foundation/errors.ts";
import { decide, type LeftAlone } from "./decision.ts";
import { captureContainer } from "./init-container.ts";
import type { InjectorConfig, Mode } from "./injector-config.ts";
import {
  type Json,
  type JsonObject,
  objectOr,
  objectsOf,
  own,
  pointerOf,
  stableText,
  textOf,
  withKey,
  without,
} from "./json-value.ts";
import { annotations as annotationNames, proxyName } from "./names.ts";
import { type Note, Notes } from "./notes.ts";
import { layOverlay, overlayFor } from "./overlay.ts";
import type { Owner } from "./pod-kinds.ts";
import { injectedAnnotations, injectedLabels, textsOf } from "./pod-marks.ts";
import { type Container, checkPodShape, type Pod } from "./pod-shape.ts";
import { warnAbout } from "./pod-warnings.ts";
import { hasNetworkPostStart, probedPorts, rewriteProbes } from "./probe-rewrite.ts";
import { type MetricsMerge, mergeMetrics } from "./prometheus-merge.ts";
import { proxyContainer } from "./proxy-container.ts";
import type { ProxyFacts } from "./proxy-environment.ts";
import { recordOf } from "./record.ts";
import { readSettings, type Settings } from "./settings.ts";
import { injectedByOthers, statusText, withoutInjection } from "./status-annotation.ts";
import { isNativeSidecar, mergedContainer, ourNames, type UserContainers, userContainers } from "./user-containers.ts";
import { proxyVolumes } from "./volumes.ts";

/** What injection knows beyond the pod itself. */
export interface PodFacts {
  readonly owner: Owner;
  readonly namespace: string;
  /** Asked for by hand: beats annotation and configuration. */
  readonly mode: Mode | undefined;
  /** Labels that the controller's selector needs as they are. */
  readonly selectorLabels: ReadonlySet<string>;
  /** Keys from the document to the pod, for the names of problems. */
  readonly path: readonly string[];
}

export type PodResult =
  | { readonly kind: "injected"; readonly pod: JsonObject; readonly mode: Mode; readonly notes: readonly Note[] }
  /** The pod as it was, or as it was before an earlier injection of ours. */
  | { readonly kind: "left-alone"; readonly pod: JsonObject; readonly why: LeftAlone }
  | { readonly kind: "unusable"; readonly problems: readonly Problem[] };

/**
 * One pod (an object with metadata and spec) with its proxy. What we injected earlier is taken back first, so that the
 * result never depends on how often or in which modes it was injected before. Pure; never throws.
 */
export function injectPod(given: JsonObject, facts: PodFacts, config: InjectorConfig): PodResult {
  const shape = checkPodShape(given, facts.path);
  if (shape.length > 0) return { kind: "unusable", problems: shape };
  const bare = withoutInjection(given) ?? given;
  const again = checkPodShape(bare, facts.path);
  if (again.length > 0) return { kind: "unusable", problems: again };
  const pod: Pod = { metadata: objectOr(own(bare, "metadata")), spec: objectOr(own(bare, "spec")) };
  const marks = { labels: textsOf(pod.metadata, "labels"), annotations: textsOf(pod.metadata, "annotations") };
  const why = decide(marks, pod.spec, facts.namespace, config) ?? foreign(pod);
  if (why !== undefined) return { kind: "left-alone", pod: bare, why };
  const problems: Problem[] = [];
  const nameOf = (annotation: string) => pointerOf([...facts.path, "metadata", "annotations", annotation]);
  const settings = readSettings(marks.annotations, config, facts.mode, problems, nameOf);
  const metrics =
    settings.role === "router" || !settings.mergeMetrics
      ? undefined
      : mergeMetrics(marks.annotations, settings.statusPort, problems, nameOf);
  if (problems.length > 0) return { kind: "unusable", problems };
  return compose({ bare, pod, marks, settings, metrics, facts, config });
}

function foreign(pod: Pod): LeftAlone | undefined {
  const reason = injectedByOthers(pod);
  if (reason === undefined) return undefined;
  const text =
    reason === "no-record"
      ? "it is injected already, but the annotation that says how is gone; start from the original document"
      : "another injector has put its proxy into it";
  return { reason, text };
}

interface Work {
  /** The whole object, with whatever else it holds. */
  readonly bare: JsonObject;
  readonly pod: Pod;
  readonly marks: { readonly labels: ReadonlyMap<string, string>; readonly annotations: ReadonlyMap<string, string> };
  readonly settings: Settings;
  readonly metrics: MetricsMerge | undefined;
  readonly facts: PodFacts;
  readonly config: InjectorConfig;
}

function compose(work: Work): PodResult {
  const { bare, pod, settings, facts, config } = work;
  const notes = new Notes();
  const users = userContainers(pod.spec);
  const native = settings.mode === "native" && settings.role === "sidecar" && users.containers.length > 0;
  const probed = rewriteAll(users, native, settings, notes);
  const applications = [...users.containers, ...users.initContainers.filter(isNativeSidecar)];
  const proxyFacts = factsForProxy(work, { native, applications, probed });
  const overlays = settings.templates.flatMap((name) => objectsOf([config.templates[name] ?? null]));
  const merged = mergedContainer(proxyContainer(proxyFacts), [
    ...overlays.map((overlay) => overlayFor(overlay, proxyName)),
    users.ours.get(proxyName),
  ]);
  // Wherever the user put his own one: the mode decides where it stands, and only an init container may say "Always".
  const proxy = withKey(merged, "restartPolicy", native ? "Always" : undefined);
  const capture = captureOf(work, proxy, overlays, users, probed);
  const placed = placeContainers({ ...users, ...probed }, proxy, capture, {
    native,
    settings,
    hold: proxyFacts.settings.hold,
    cni: config.init.cni,
  });
  let injected: Pod = withSpecAndMarks(work, placed, users);
  for (const overlay of overlays) injected = layOverlay(injected, overlay);
  warnAbout(warningFacts(work, users, native), notes);
  const result = withStatus(bare, injected, native ? "native" : "classic", config.revision);
  return {
    kind: "injected",
    pod: result,
    mode: native ? "native" : "classic",
    notes: notes.all.map((note) => within(note, facts.path)),
  };
}

const within = (note: Note, path: readonly string[]): Note => ({ ...note, pointer: pointerOf(path) + note.pointer });

interface Probed {
  readonly containers: readonly Container[];
  readonly initContainers: readonly Container[];
  readonly probers: Readonly<Record<string, JsonObject>>;
  /** Ports that the kubelet goes on asking directly. */
  readonly uncaptured: readonly number[];
}

/**
 * In classic mode the user's native sidecars start before the proxy: a start-up probe that asks the agent could never
 * succeed and the pod would hang, so their probes stay and their ports are not captured.
 */
function rewriteAll(users: UserContainers, native: boolean, settings: Settings, notes: Notes): Probed {
  if (!settings.rewriteProbes || settings.role === "router") return { ...users, probers: {}, uncaptured: [] };
  const probers: [string, JsonObject][] = [];
  const rewrite = (container: Container, path: readonly string[]): Container => {
    const result = rewriteProbes(container, settings.statusPort, path, notes);
    probers.push(...Object.entries(result.probers));
    return result.container;
  };
  const uncaptured: number[] = [];
  const initContainers = users.initContainers.map((container, index) => {
    const path = ["spec", "initContainers", String(index)];
    if (!isNativeSidecar(container)) return container;
    if (native) return rewrite(container, path);
    const ports = [...new Set(probedPorts(container))];
    uncaptured.push(...ports);
    if (ports.length > 0)
      notes.warn(
        path,
        `"${container.name}" starts before the classic proxy: its probes stay as they are, and port ${ports.join(", ")} is not captured`,
      );
    return container;
  });
  const containers = users.containers.map((one, index) => rewrite(one, ["spec", "containers", String(index)]));
  return { containers, initContainers, probers: Object.fromEntries(probers), uncaptured };
}

function factsForProxy(
  work: Work,
  parts: { native: boolean; applications: readonly Container[]; probed: Probed },
): ProxyFacts {
  const { pod, config, facts, metrics } = work;
  const { native, applications, probed } = parts;
  const grace = pod.spec["terminationGracePeriodSeconds"];
  const held = work.settings.hold || applications.some(hasNetworkPostStart);
  return {
    config,
    settings: { ...work.settings, hold: held },
    owner: namedOwner(facts.owner),
    namespace: facts.namespace,
    applications,
    gracePeriodSeconds: typeof grace === "number" ? grace : 30,
    probers: Object.keys(probed.probers).length === 0 ? undefined : stableText(probed.probers),
    metrics: metrics?.application,
    native,
  };
}

/** A generateName ends in a dash that no workload has. */
const namedOwner = (owner: Owner): Owner => ({ ...owner, name: owner.name.replace(/-+$/, "") });

/** The container that lays the rules, unless nothing is to be captured. The rules exempt whom the proxy really runs as. */
function captureOf(
  work: Work,
  proxy: JsonObject,
  overlays: readonly JsonObject[],
  users: UserContainers,
  probed: Probed,
): JsonObject | undefined {
  const { settings, config } = work;
  if (settings.role === "router" || settings.interception === "NONE") return undefined;
  const context = objectOr(own(proxy, "securityContext"));
  const uid = numberOr(context["runAsUser"], config.proxy.uid);
  const base = captureContainer({
    config,
    settings,
    // With TPROXY the proxy is root, and exempting root would exempt too much: it is known by its group.
    uid: uid === 0 ? config.proxy.uid : uid,
    gid: numberOr(context["runAsGroup"], config.proxy.gid),
    uncaptured: probed.uncaptured,
  });
  const name = textOf(own(base, "name")) ?? "";
  const merged = mergedContainer(base, [...overlays.map((overlay) => overlayFor(overlay, name)), users.ours.get(name)]);
  return runOnce.reduce((container, field) => without(container, field), merged);
}

/** What a container that ends may not have. */
const runOnce = ["restartPolicy", "lifecycle", "livenessProbe", "readinessProbe", "startupProbe"];

const numberOr = (value: Json | undefined, fallback: number): number => (typeof value === "number" ? value : fallback);

interface Placing {
  readonly native: boolean;
  readonly settings: Settings;
  readonly hold: boolean;
  readonly cni: boolean;
}

/**
 * Native: rules, proxy, then everything of the user's, which so runs inside the mesh. Classic: the user's init
 * containers run before there are rules (a CNI plugin's check comes first: its rules are already there).
 */
function placeContainers(
  users: Pick<UserContainers, "containers" | "initContainers">,
  proxy: JsonObject,
  capture: JsonObject | undefined,
  { native, settings, hold, cni }: Placing,
): { readonly containers: readonly JsonObject[]; readonly initContainers: readonly JsonObject[] } {
  const rules = capture === undefined ? [] : [capture];
  if (native) return { containers: users.containers, initContainers: [...rules, proxy, ...users.initContainers] };
  const first = settings.role === "router" ? false : hold;
  return {
    containers: first ? [proxy, ...users.containers] : [...users.containers, proxy],
    initContainers: cni ? [...rules, ...users.initContainers] : [...users.initContainers, ...rules],
  };
}

function withSpecAndMarks(
  work: Work,
  placed: { readonly containers: readonly JsonObject[]; readonly initContainers: readonly JsonObject[] },
  users: UserContainers,
): Pod {
  const { pod, config, settings, marks, metrics, facts } = work;
  const volumes = proxyVolumes(config, settings).filter((volume) => !hasNamed(pod.spec, "volumes", volume["name"]));
  const secrets = config.imagePullSecrets
    .map((name): JsonObject => ({ name }))
    .filter((secret) => !hasNamed(pod.spec, "imagePullSecrets", secret["name"]));
  const labels = Object.entries(injectedLabels(marks, namedOwner(facts.owner))).filter(
    ([key]) => !facts.selectorLabels.has(key),
  );
  const annotations = { ...injectedAnnotations(marks, users.containers, config), ...metrics?.annotations };
  let spec = withKey(pod.spec, "containers", placed.containers);
  if (placed.initContainers.length > 0) spec = withKey(spec, "initContainers", placed.initContainers);
  else if (users.ours.size > 0 && own(spec, "initContainers") !== undefined) spec = withKey(spec, "initContainers", []);
  return {
    metadata: {
      ...pod.metadata,
      labels: { ...objectOr(pod.metadata["labels"]), ...Object.fromEntries(labels) },
      annotations: { ...objectOr(pod.metadata["annotations"]), ...annotations },
    },
    spec: appended(appended(spec, "volumes", volumes), "imagePullSecrets", secrets),
  };
}

const hasNamed = (spec: JsonObject, field: string, name: Json | undefined): boolean =>
  objectsOf(own(spec, field)).some((one) => one["name"] === name);

const appended = (spec: JsonObject, field: string, more: readonly JsonObject[]): JsonObject => {
  const list = own(spec, field);
  return more.length === 0
    ? spec
    : withKey(spec, field, [...(Array.isArray(list) ? (list as readonly Json[]) : []), ...more]);
};

function warningFacts(work: Work, users: UserContainers, native: boolean): Parameters<typeof warnAbout>[0] {
  const { config, settings, marks, pod, facts } = work;
  return {
    config,
    settings,
    annotations: marks.annotations,
    spec: pod.spec,
    applications: users.containers,
    ownerKind: facts.owner.kind,
    native,
    volumesKept: proxyVolumes(config, settings).flatMap((volume) =>
      hasNamed(pod.spec, "volumes", volume["name"]) ? [textOf(volume["name"]) ?? ""] : [],
    ),
  };
}

/** The record is made of the difference, whatever made it: no part of injection has to remember what it changed. */
function withStatus(bare: JsonObject, injected: Pod, mode: Mode, revision: string): JsonObject {
  const marked = { ...bare, metadata: withStatusText(injected.metadata, ""), spec: injected.spec };
  const record = recordOf(bare, marked, ourNames);
  return { ...marked, metadata: withStatusText(injected.metadata, statusText(record, mode, revision)) };
}

const withStatusText = (metadata: JsonObject, text: string): JsonObject =>
  withKey(metadata, "annotations", withKey(objectOr(metadata["annotations"]), annotationNames.status, text));
