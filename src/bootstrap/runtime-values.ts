import type { JsonObject } from "../config/agent-config.ts";

/** Istio's runtime flags for Envoy (features.md BOOT-7). */
const defaults: Readonly<Record<string, string | boolean>> = {
  // Routes with large regular expressions are normal in a mesh; Envoy's own limit is 100.
  "re2.max_program_size.error_level": "32768",
  // Outbound capture needs it: the one listener on 15001 finds the others by original destination.
  "envoy.deprecated_features:envoy.config.listener.v3.Listener.hidden_envoy_deprecated_use_original_dst": true,
  "envoy.reloadable_features.http_reject_path_with_fragment": false,
  "envoy.reloadable_features.fixed_heap_use_allocated": true,
  "envoy.reloadable_features.coalesce_lb_rebuilds_on_batch_update": false,
};

/** The connection limit: a resource monitor of the overload manager has taken its place. */
const LIMIT = "overload.global_downstream_max_connections";

/**
 * The static runtime layer: the defaults, then ProxyConfig's `runtimeValues`. An empty value takes a default away;
 * `true` and `false` become booleans, because Envoy does not read them from text any more.
 */
export function runtimeValues(given: ReadonlyMap<string, string>): JsonObject {
  const values = new Map<string, string | boolean>(Object.entries(defaults));
  for (const [key, value] of given) {
    if (value === "" || key === LIMIT) values.delete(key);
    else values.set(key, value === "true" ? true : value === "false" ? false : value);
  }
  return Object.fromEntries(values);
}
