import { isArray, isObject, type Json, type JsonObject, own } from "./json-value.ts";
import { nameIn, namesIn } from "./merge-keys.ts";

/** Parts of which exactly one may be there: what comes over it takes the other ones' place. */
const handlers = ["exec", "httpGet", "tcpSocket", "grpc", "sleep"];
/** Values and list elements that are unions: half of one and half of the other is neither. */
const replacedWhole: ReadonlySet<string> = new Set(["preStop", "postStart", "env", "volumes", "imagePullSecrets"]);

/**
 * `over` laid upon `base`: objects key by key, lists of named elements element by element (new ones go to the end),
 * every other value replaced, `null` takes away. Kubernetes' strategic merge without its directives, and with the
 * unions kept whole (a probe never ends up with two handlers).
 */
export function strategicMerge(base: JsonObject, over: JsonObject): JsonObject {
  const start = handlers.some((one) => isObject(own(over, one))) ? withoutHandlers(base, over) : base;
  const result = new Map(Object.entries(start));
  for (const [key, value] of Object.entries(over)) {
    if (value === null) result.delete(key);
    else result.set(key, mergeValue(key, result.get(key), value));
  }
  return Object.fromEntries(result);
}

const withoutHandlers = (base: JsonObject, over: JsonObject): JsonObject =>
  Object.fromEntries(Object.entries(base).filter(([key]) => !handlers.includes(key) || Object.hasOwn(over, key)));

function mergeValue(field: string, base: Json | undefined, over: Json): Json {
  const whole = replacedWhole.has(field);
  if (isObject(base) && isObject(over) && !whole) return strategicMerge(base, over);
  if (isArray(base) && isArray(over) && namesIn(field, over)) {
    return mergeNamed(field, base, over, whole);
  }
  return isObject(over) ? strategicMerge({}, over) : over;
}

function mergeNamed(field: string, base: readonly Json[], over: readonly Json[], whole: boolean): readonly Json[] {
  const byName = new Map(over.map((element) => [nameIn(field, element), element]));
  const merged = base.map((element) => {
    const name = nameIn(field, element);
    const upon = byName.get(name);
    byName.delete(name);
    if (upon === undefined) return element;
    return isObject(element) && isObject(upon) && !whole ? strategicMerge(element, upon) : upon;
  });
  return [...merged, ...byName.values()];
}
