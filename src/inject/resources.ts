import { type JsonObject, objectOr, own, stringOr, withKey } from "./json-value.ts";
import { quantityOf } from "./quantities.ts";
import type { WantedResources } from "./settings.ts";

/**
 * The configured resources with the pod's wishes laid upon them, value by value. A configured value that would
 * contradict a wish gives way (a request may not be above its limit: the API server refuses such a pod).
 */
export function proxyResources(configured: JsonObject, wanted: WantedResources): JsonObject {
  const cpu = { request: wanted.cpu, limit: wanted.cpuLimit };
  const memory = { request: wanted.memory, limit: wanted.memoryLimit };
  return laid(laid(configured, "cpu", cpu), "memory", memory);
}

interface Wish {
  readonly request: string | undefined;
  readonly limit: string | undefined;
}

function laid(resources: JsonObject, name: string, wish: Wish): JsonObject {
  if (wish.request === undefined && wish.limit === undefined) return resources;
  const request = wish.request ?? configured(resources, "requests", name);
  const limit = wish.limit ?? configured(resources, "limits", name);
  const clash = above(request, limit);
  const kept: Wish = {
    request: clash && wish.request === undefined ? limit : request,
    limit: clash && wish.limit === undefined ? request : limit,
  };
  return part(part(resources, "requests", name, kept.request), "limits", name, kept.limit);
}

const configured = (resources: JsonObject, kind: string, name: string): string | undefined => {
  const value = own(objectOr(own(resources, kind)), name);
  return typeof value === "number" ? String(value) : stringOr(value, "") || undefined;
};

const above = (request: string | undefined, limit: string | undefined): boolean =>
  request !== undefined && limit !== undefined && (quantityOf(request) ?? 0) > (quantityOf(limit) ?? Infinity);

const part = (resources: JsonObject, kind: string, name: string, value: string | undefined): JsonObject =>
  value === undefined ? resources : withKey(resources, kind, withKey(objectOr(own(resources, kind)), name, value));
