import { captureContainer } from "./init-container.ts";
import type { PodResult } from "./inject-pod.ts";
import type { Mode } from "./injector-config.ts";
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
import { hasNamed, placeContainers, withSpecAndMarks } from "./pod-placing.ts";
import { type Probed, rewriteAll } from "./pod-probes.ts";
import type { Container, Pod } from "./pod-shape.ts";
import { warnAbout } from "./pod-warnings.ts";
import { namedOwner, type Work } from "./pod-work.ts";
import { hasNetworkPostStart } from "./probe-rewrite.ts";
import { proxyContainer } from "./proxy-container.ts";
import type { ProxyFacts } from "./proxy-environment.ts";
import { recordOf } from "./record.ts";
import { statusText } from "./status-annotation.ts";
import { isNativeSidecar, mergedContainer, ourNames, type UserContainers, userContainers } from "./user-containers.ts";
import { proxyVolumes } from "./volumes.ts";

/** The injected pod. Nothing can fail any more: whatever is wrong was found while reading. */
export function composePod(work: Work): PodResult {
  const { bare, pod, settings, facts, config } = work;
  const notes = new Notes();
  const users = userContainers(pod.spec);
  const native = settings.mode === "native" && settings.role === "sidecar" && users.containers.length > 0;
  const probed = rewriteAll(users, pod.spec, native, settings, notes);
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

function factsForProxy(
  work: Work,
  parts: { native: boolean; applications: readonly Container[]; probed: Probed },
): ProxyFacts {
  const { pod, config, facts, metrics } = work;
  const { native, applications, probed } = parts;
  const grace = pod.spec["terminationGracePeriodSeconds"];
  const held = work.settings.hold || probed.containers.some(hasNetworkPostStart);
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

function warningFacts(work: Work, users: UserContainers, native: boolean): Parameters<typeof warnAbout>[0] {
  const { config, settings, marks, metrics, pod, facts } = work;
  return {
    config,
    settings,
    annotations: marks.annotations,
    metrics: metrics?.warnings ?? [],
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
