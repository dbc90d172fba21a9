import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { root } from "../../helpers/paths.ts";
import { dashboardFaults, withoutSchema } from "./judges.ts";

type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };
type Path = readonly (string | number)[];
interface Dashboard {
  readonly panels: readonly { readonly type: string }[];
}
const dashboard = JSON.parse(readFileSync(join(root, "deploy/observability/dashboard.json"), "utf8")) as Dashboard;

const first = (type: string): number => dashboard.panels.findIndex((panel) => panel.type === type);
const [stat, series, table, row] = [first("stat"), first("timeseries"), first("table"), first("row")];
const custom = ["panels", series, "fieldConfig", "defaults", "custom"] as const;

/** What is broken, where, by which value (undefined: taken away), and what the judge has to say. */
const broken: readonly (readonly [Path, unknown, string])[] = [
  [["colour"], "red", "unexpected field 'colour'"],
  [["templating"], undefined, "templating: required field is missing"],
  [["graphTooltip"], 3, 'graphTooltip: "3" is not one of'],
  [["fiscalYearStartMonth"], 12, "fiscalYearStartMonth: must be < 12"],
  [["panels", stat, "gridPos", "x"], "0", "gridPos.x: json: cannot unmarshal string"],
  [["panels", stat, "gridPos", "w"], 25, "gridPos.w: must be <= 24"],
  [["panels", stat, "gridPos", "z"], 1, "unexpected field 'z'"],
  [["panels", stat, "colour"], "red", "unexpected field 'colour'"],
  [["panels", stat, "options", "colour"], "red", "unexpected field 'colour'"],
  [["panels", stat, "options", "colorMode"], "backgrund", 'options.colorMode: "backgrund" is not one of'],
  [["panels", stat, "options", "wideLayout"], undefined, "options.wideLayout: required field is missing"],
  [["panels", stat, "fieldConfig", "defaults", "units"], "s", "unexpected field 'units'"],
  [["panels", stat, "fieldConfig", "defaults", "thresholds", "mode"], "relative", 'mode: "relative" is not one of'],
  [["panels", stat, "fieldConfig", "defaults", "custom"], { lineWidth: 1 }, 'custom: a panel "stat" has none'],
  [["panels", stat, "fieldConfig", "overrides"], [{ properties: [] }], "matcher: required field is missing"],
  [["panels", series, "options", "legend", "displayMode"], "lists", 'displayMode: "lists" is not one of'],
  [[...custom, "drawStyle"], "lines", 'drawStyle: "lines" is not one of'],
  [[...custom, "linewidth"], 1, "unexpected field 'linewidth'"],
  [["panels", series, "targets", 0, "legend"], "x", "unexpected field 'legend'"],
  [["panels", series, "targets", 0, "editorMode"], "text", 'editorMode: "text" is not one of'],
  [["panels", series], { type: "timeseries", targets: [{ refId: "A" }] }, "no schema here for its data source"],
  [["panels", table, "options", "cellHeight"], "xl", 'cellHeight: "xl" is not one of'],
  [["panels", table, "type"], "tables", 'no schema here for a panel "tables"'],
  [["panels", row, "panels"], [{ type: "text", fieldConfig: { defaults: { a: 1 } } }], "unexpected field 'a'"],
  [["templating", "list", 1, "type"], "queries", 'type: "queries" is not one of'],
  [["templating", "list", 1, "refresh"], 9, 'refresh: "9" is not one of'],
  [["annotations", "list", 0, "colour"], "red", "unexpected field 'colour'"],
];

describe.skipIf(withoutSchema !== undefined)(`Grafana's own schemas ${withoutSchema ?? ""}`, () => {
  test("find no fault in the dashboard, its panels and queries", async () => {
    expect(await dashboardFaults([dashboard])).toEqual([[]]);
  });

  test("refuse broken copies, and say where and why", async () => {
    const found = await dashboardFaults(broken.map(([path, value]) => withValue(path, value)));
    const missed = broken.flatMap(([path, value, words], at) =>
      found[at]?.some((fault) => fault.includes(words)) ? [] : [[path.join("."), value, words, found[at]]],
    );
    expect(missed).toEqual([]);
  });

  test("refuse an unknown field and a value of the wrong type wherever there is one", async () => {
    const places = onePerKind([...walk([], dashboard as unknown as Json)]);
    expect(places.length).toBeGreaterThan(100);
    const copies = places.map(({ path, value }) =>
      isObject(value) ? withValue([...path, "unknown"], true) : withValue(path, { wrong: "type" }),
    );
    const found = await dashboardFaults(copies);
    const accepted = places.filter((_, at) => found[at]?.length === 0).map(({ kind }) => kind);
    expect(accepted).toEqual(free);
  });
});

/** What the schemas leave open: a variable's query, whose form is its data source's own affair. */
const free: readonly string[] = [
  "templating.list(datasource).query",
  "templating.list(query).query",
  "templating.list(query).query.query",
  "templating.list(query).query.refId",
];

function withValue(path: Path, value: unknown): object {
  const copy = structuredClone(dashboard) as object;
  const holder = path.slice(0, -1).reduce<unknown>((at, key) => (at as Record<string, unknown>)[key], copy);
  (holder as Record<string, unknown>)[path.at(-1) ?? ""] = value;
  return copy;
}

interface Place {
  readonly path: Path;
  readonly kind: string;
  readonly value: Json;
}

/** Every value of the dashboard. Of one kind are those that differ only in their place in a list. */
function* walk(path: Path, value: Json, kind = ""): Generator<Place> {
  yield { path, kind, value };
  if (typeof value !== "object" || value === null) return;
  for (const [key, inner] of Object.entries(value)) {
    const name = Array.isArray(value) ? typeOf(inner) : `.${key}`;
    yield* walk([...path, Array.isArray(value) ? Number(key) : key], inner, `${kind}${name}`.replace(/^\./, ""));
  }
}

/** Panels and variables have fields by their type. */
const typeOf = (value: Json): string =>
  isObject(value) && typeof value["type"] === "string" ? `(${value["type"]})` : "";

const isObject = (value: Json): value is { readonly [key: string]: Json } =>
  typeof value === "object" && value !== null && !Array.isArray(value);

const onePerKind = (places: readonly Place[]): readonly Place[] => [
  ...new Map(places.map((place) => [place.kind, place])).values(),
];
