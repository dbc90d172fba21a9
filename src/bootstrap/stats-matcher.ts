import type { Json } from "../config/agent-config.ts";
import { field, isObject, list } from "./proto-json.ts";

/**
 * Whether Envoy makes a statistic of this name under a `stats_matcher` (envoy.config.metrics.v3.StatsMatcher). The
 * drain must know: a count that does not exist looks like a count of nothing.
 */
export function admits(matcher: Json | undefined, name: string): boolean {
  if (!isObject(matcher)) return true;
  const rejectAll = field(matcher, "reject_all");
  if (rejectAll !== undefined) return rejectAll !== true;
  const inclusion = field(matcher, "inclusion_list");
  if (inclusion !== undefined) return list(inclusion, "patterns").some((one) => matches(one, name));
  const exclusion = field(matcher, "exclusion_list");
  return !list(exclusion, "patterns").some((one) => matches(one, name));
}

/** envoy.type.matcher.v3.StringMatcher. */
function matches(pattern: Json, name: string): boolean {
  const ignoresCase = field(pattern, "ignore_case") === true;
  const fold = (text: string): string => (ignoresCase ? text.toLowerCase() : text);
  const text = (kind: string): string | undefined => {
    const value = field(pattern, kind);
    return typeof value === "string" ? fold(value) : undefined;
  };
  const subject = fold(name);
  const [exact, prefix, suffix, contains] = [text("exact"), text("prefix"), text("suffix"), text("contains")];
  if (exact !== undefined) return subject === exact;
  if (prefix !== undefined) return subject.startsWith(prefix);
  if (suffix !== undefined) return subject.endsWith(suffix);
  if (contains !== undefined) return subject.includes(contains);
  return matchesWhole(field(field(pattern, "safe_regex"), "regex"), name);
}

/** Envoy's expressions are RE2's and match the whole name; one that we can't read counts as no match. */
function matchesWhole(regex: Json | undefined, name: string): boolean {
  if (typeof regex !== "string") return false;
  try {
    return new RegExp(`^(?:${regex})$`, "u").test(name);
  } catch {
    return false;
  }
}
