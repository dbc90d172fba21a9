import type { Problem } from "../foundation/errors.ts";
import { isArray, isObject, type Json, type JsonObject, own, pointerOf } from "./json-value.ts";

/** A container as far as injection reads it; everything else in it is passed on. */
export type Container = JsonObject & { readonly name: string };

export interface Pod {
  readonly metadata: JsonObject;
  readonly spec: JsonObject;
}

type Path = readonly string[];
type Check = (value: Json, path: Path, problems: Problem[]) => void;

/**
 * Everything that injection relies on. Names of problems are JSON pointers, so that the caller can find the line.
 * Kubernetes itself checks the rest.
 */
export function checkPodShape(pod: JsonObject, path: Path): readonly Problem[] {
  const problems: Problem[] = [];
  const spec = own(pod, "spec");
  optional("metadata", checkMetadata)(pod, path, problems);
  if (!isObject(spec)) wrong(problems, [...path, "spec"], "a pod needs a spec with containers");
  else checkSpec(spec, [...path, "spec"], problems);
  return problems;
}

function wrong(problems: Problem[], path: Path, text: string): void {
  problems.push({ name: pointerOf(path), text });
}

/** Runs `check` on a field that may be missing or null. */
function optional(field: string, check: Check): (object: JsonObject, path: Path, problems: Problem[]) => void {
  return (object, path, problems) => {
    const value = own(object, field);
    if (value !== undefined && value !== null) check(value, [...path, field], problems);
  };
}

const object =
  (check: (value: JsonObject, path: Path, problems: Problem[]) => void): Check =>
  (value, path, problems) => {
    if (isObject(value)) check(value, path, problems);
    else wrong(problems, path, `${show(value)} is not a map`);
  };

const list =
  (check: Check): Check =>
  (value, path, problems) => {
    if (isArray(value)) for (const [index, one] of value.entries()) check(one, [...path, String(index)], problems);
    else wrong(problems, path, `${show(value)} is not a list`);
  };

const isText: Check = (value, path, problems) => {
  if (typeof value !== "string") wrong(problems, path, `${show(value)} is not a text; put it in quotes`);
};

const isWhole: Check = (value, path, problems) => {
  if (!Number.isInteger(value)) wrong(problems, path, `${show(value)} is not a whole number`);
};

const isBoolean: Check = (value, path, problems) => {
  if (typeof value !== "boolean") wrong(problems, path, `${show(value)} is not true or false`);
};

const textMap: Check = object((map, path, problems) => {
  for (const [key, value] of Object.entries(map)) isText(value, [...path, key], problems);
});

const checkMetadata: Check = object((metadata, path, problems) => {
  optional("labels", textMap)(metadata, path, problems);
  optional("annotations", textMap)(metadata, path, problems);
  optional("name", isText)(metadata, path, problems);
  optional("namespace", isText)(metadata, path, problems);
});

const named: Check = object((element, path, problems) => {
  const name = own(element, "name");
  if (typeof name !== "string" || name === "") wrong(problems, [...path, "name"], "it needs a name");
});

const probe: Check = object((value, path, problems) => {
  for (const way of ["httpGet", "tcpSocket", "grpc"]) {
    optional(
      way,
      object((target, at, all) => optional("host", isText)(target, at, all)),
    )(value, path, problems);
  }
});

const lifecycle: Check = object((value, path, problems) => {
  optional("postStart", probe)(value, path, problems);
  optional("preStop", probe)(value, path, problems);
});

const container: Check = object((value, path, problems) => {
  named(value, path, problems);
  for (const kind of ["livenessProbe", "readinessProbe", "startupProbe"]) optional(kind, probe)(value, path, problems);
  optional("lifecycle", lifecycle)(value, path, problems);
  optional("restartPolicy", isText)(value, path, problems);
  for (const field of ["env", "ports", "volumeMounts"]) {
    optional(field, list(object(() => undefined)))(value, path, problems);
  }
  for (const field of ["args", "command"]) optional(field, list(isText))(value, path, problems);
});

function checkSpec(spec: JsonObject, path: Path, problems: Problem[]): void {
  const containers = own(spec, "containers");
  if (!isArray(containers) || containers.length === 0) {
    wrong(problems, [...path, "containers"], "a pod needs at least one container");
  } else list(container)(containers, [...path, "containers"], problems);
  optional("initContainers", list(container))(spec, path, problems);
  optional("volumes", list(named))(spec, path, problems);
  optional("imagePullSecrets", list(object(() => undefined)))(spec, path, problems);
  optional("hostNetwork", isBoolean)(spec, path, problems);
  optional("terminationGracePeriodSeconds", isWhole)(spec, path, problems);
}

/** The value as a message shows it: short, in quotes where it is text. */
export function show(value: Json): string {
  const text = JSON.stringify(value);
  return text.length > 60 ? `${text.slice(0, 57)}...` : text;
}
