import { type Json, type JsonObject, objectOr, objectsOf, own, withKey } from "./json-value.ts";
import { injectedAnnotations, injectedLabels } from "./pod-marks.ts";
import type { Pod } from "./pod-shape.ts";
import { namedOwner, type Work } from "./pod-work.ts";
import type { Settings } from "./settings.ts";
import type { UserContainers } from "./user-containers.ts";
import { proxyVolumes } from "./volumes.ts";

/** What decides about places. */
export interface Placing {
  readonly native: boolean;
  readonly settings: Settings;
  readonly hold: boolean;
  readonly cni: boolean;
}

export interface Placed {
  readonly containers: readonly JsonObject[];
  readonly initContainers: readonly JsonObject[];
}

/**
 * Native: rules, proxy, then everything of the user's, which so runs inside the mesh. Classic: the user's init
 * containers run before there are rules (a CNI plugin's check comes first: its rules are already there).
 */
export function placeContainers(
  users: Pick<UserContainers, "containers" | "initContainers">,
  proxy: JsonObject,
  capture: JsonObject | undefined,
  { native, settings, hold, cni }: Placing,
): Placed {
  const rules = capture === undefined ? [] : [capture];
  if (native) return { containers: users.containers, initContainers: [...rules, proxy, ...users.initContainers] };
  const first = settings.role === "router" ? false : hold;
  return {
    containers: first ? [proxy, ...users.containers] : [...users.containers, proxy],
    initContainers: cni ? [...rules, ...users.initContainers] : [...users.initContainers, ...rules],
  };
}

/** The pod with its containers in place, volumes and secrets behind the user's, labels and annotations beside his. */
export function withSpecAndMarks(work: Work, placed: Placed, users: UserContainers): Pod {
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

export const hasNamed = (spec: JsonObject, field: string, name: Json | undefined): boolean =>
  objectsOf(own(spec, field)).some((one) => one["name"] === name);

const appended = (spec: JsonObject, field: string, more: readonly JsonObject[]): JsonObject => {
  const list = own(spec, field);
  return more.length === 0
    ? spec
    : withKey(spec, field, [...(Array.isArray(list) ? (list as readonly Json[]) : []), ...more]);
};
