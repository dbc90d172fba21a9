import type { Problems } from "../foundation/problems.ts";
import type { Json, JsonObject } from "./agent-config.ts";
import type { FlagValues } from "./flag-reader.ts";
import type { PodAddress } from "./node-addresses.ts";
import type { Notices } from "./notices.ts";
import { isObject } from "./object-reader.ts";
import { parsePodInfo } from "./pod-info.ts";
import { unknownFields } from "./proxy-layer.ts";
import type { ReadStructured, SourceText } from "./structured-text.ts";

/** Everything that a configuration is made of, as text and values: nothing is read from the outside after this. */
export interface ConfigInput {
  /** `sidecar`, `router` or `waypoint`, and whatever else stood there. */
  readonly positionals: readonly string[];
  /** What stood behind `--`: further arguments for Envoy. */
  readonly rest: readonly string[];
  readonly flags: FlagValues;
  /** What the parser objected to; reported together with ours. */
  readonly problems: readonly { readonly name: string; readonly text: string }[];
  /** Remarks of the parser. */
  readonly notices: readonly string[];
  readonly env: ReadonlyMap<string, string>;
  /** The mesh file; undefined when there is none. */
  readonly mesh: SourceText | undefined;
  /** ./etc/istio/pod/labels and annotations. */
  readonly labels: SourceText | undefined;
  readonly annotations: SourceText | undefined;
  readonly addresses: readonly PodAddress[];
  /** Reads JSON or YAML, whichever the texts need. */
  readonly read: ReadStructured;
}

export const ANNOTATION_CONFIG = "proxy.istio.io/config";

/** Labels and annotations; a line that can't be read is left out with a notice, as the peer goes on without the file. */
export function podInfo(source: SourceText | undefined, notices: Notices): ReadonlyMap<string, string> {
  if (source === undefined) return new Map();
  return parsePodInfo(source.text, (line) => notices.add(`${source.path}:${line} is not key="value"; it is ignored`));
}

export interface StructuredSources {
  readonly mesh: JsonObject;
  /** defaultConfig of the mesh file. */
  readonly meshDefault: JsonObject;
  readonly env: JsonObject;
  readonly annotation: JsonObject;
  /** Names of the three for messages. */
  readonly names: { readonly mesh: string; readonly env: string; readonly annotation: string };
}

/** The three structured texts, as objects; one that can't be read is a problem with its file and line. */
export function structuredSources(
  input: ConfigInput,
  annotations: ReadonlyMap<string, string>,
  problems: Problems,
  notices: Notices,
): StructuredSources {
  const meshName = input.mesh?.path ?? "mesh";
  const names = {
    mesh: `${meshName}: defaultConfig`,
    env: "PROXY_CONFIG",
    annotation: `annotation ${ANNOTATION_CONFIG}`,
  };
  const read = (name: string, text: string | undefined): JsonObject => objectOf(input.read, name, text, problems);
  const mesh = read(meshName, input.mesh?.text);
  const meshDefault = mesh["defaultConfig"] ?? {};
  if (!isObject(meshDefault)) problems.add(names.mesh, "it is no object; use fields of ProxyConfig below it");
  const found = {
    mesh,
    meshDefault: isObject(meshDefault) ? meshDefault : {},
    env: read(names.env, input.env.get("PROXY_CONFIG")),
    annotation: read(names.annotation, annotations.get(ANNOTATION_CONFIG)),
  };
  tellUnknown(names.mesh, found.meshDefault, notices);
  tellUnknown(names.env, found.env, notices);
  tellUnknown(names.annotation, found.annotation, notices);
  return { ...found, names };
}

function objectOf(read: ReadStructured, name: string, text: string | undefined, problems: Problems): JsonObject {
  const result = read(text ?? "");
  if (!result.ok) {
    problems.add(result.line === undefined ? name : `${name}:${result.line}`, `it can't be read: ${result.why}`);
    return {};
  }
  const value: Json = result.value;
  if (isObject(value)) return value;
  if (value !== null) problems.add(name, "it is no object; use fields with values");
  return {};
}

/** The peer skips unknown fields; a mistyped one would be missed, so it is told. */
function tellUnknown(name: string, object: JsonObject, notices: Notices): void {
  for (const field of unknownFields(object)) {
    notices.add(`${name}.${field} is no field that an agent knows; it goes to the control plane as it is`);
  }
  const tracing = object["tracing"];
  if (!isObject(tracing)) return;
  for (const tracer of ["stackdriver", "openCensusAgent"]) {
    if (tracing[tracer] !== undefined)
      notices.add(`${name}.tracing.${tracer} is ignored: Envoy has no such tracer any more`);
  }
}
