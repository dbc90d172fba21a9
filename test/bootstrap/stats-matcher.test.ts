import { describe, expect, test } from "vitest";
import { bootstrapFacts } from "../../src/bootstrap/bootstrap-facts.ts";
import { admits } from "../../src/bootstrap/stats-matcher.ts";
import type { JsonObject } from "../../src/config/agent-config.ts";

const only = (...patterns: readonly JsonObject[]): JsonObject => ({ inclusion_list: { patterns } });
const not = (...patterns: readonly JsonObject[]): JsonObject => ({ exclusionList: { patterns } });

describe("which statistics Envoy makes", () => {
  test.each<readonly [string, JsonObject | undefined, string, boolean]>([
    ["no matcher", undefined, "a.b", true],
    ["an empty matcher", {}, "a.b", true],
    ["none at all", { reject_all: true }, "a.b", false],
    ["not none at all", { rejectAll: false }, "a.b", true],
    ["an empty list", only(), "a.b", false],
    ["the name", only({ exact: "a.b" }), "a.b", true],
    ["a part of the name", only({ exact: "a" }), "a.b", false],
    ["a beginning", only({ prefix: "a." }), "a.b", true],
    ["an end", only({ suffix: ".b" }), "a.b", true],
    ["a middle", only({ contains: "." }), "a.b", true],
    ["another case", only({ prefix: "A" }), "a.b", false],
    ["any case", only({ prefix: "A", ignore_case: true }), "a.b", true],
    ["the second of two", only({ prefix: "x" }, { suffix: "b" }), "a.b", true],
    ["an expression for the whole name", only({ safe_regex: { regex: "a\\.." } }), "a.b", true],
    ["an expression for a part", only({ safeRegex: { regex: "a" } }), "a.b", false],
    ["an expression that nobody can read", only({ safe_regex: { regex: "(" } }), "a.b", false],
    ["left out", not({ prefix: "a" }), "a.b", false],
    ["not left out", not({ prefix: "x" }), "a.b", true],
  ])("%s", (_title, matcher, name, expected) => expect(admits(matcher, name)).toBe(expected));

  test("a file that leaves the connections out is told from one that does not", () => {
    const counts = (stats_matcher: JsonObject): boolean =>
      bootstrapFacts({ stats_config: { stats_matcher } }, { readiness: 0, prometheus: 0 }).stats.countsConnections;
    expect(counts(only({ prefix: "cluster" }))).toBe(false);
    expect(counts(only({ suffix: "downstream_cx_active" }))).toBe(false);
    expect(counts(only({ prefix: "listener." }))).toBe(true);
  });
});
