import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { createAgentMetrics } from "../../../src/metrics/agent-metrics.ts";
import { metricTable } from "../../../src/metrics/metric-table.ts";
import { processMetrics } from "../../../src/metrics/process-lines.ts";
import { reportFamilies } from "../../../src/metrics/scrape-report.ts";
import { ownUsage } from "../../../src/system/own-usage.ts";
import { eventually } from "../../helpers/eventually.ts";
import { root, temporaryFolder } from "../../helpers/paths.ts";
import { promtool, run, withoutPrometheus } from "./judges.ts";
import { startPrometheus } from "./prometheus-server.ts";
import { startRig } from "./scrape-rig.ts";

const folder = join(root, "deploy/observability");
const rules = ["alerts.yaml", "recording-rules.yaml"];

interface Panel {
  readonly id: number;
  readonly type: string;
  readonly title: string;
  readonly description?: string;
  readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number };
  readonly targets?: readonly { readonly refId: string; readonly expr: string }[];
}
interface Dashboard {
  readonly uid: string;
  readonly schemaVersion: number;
  readonly panels: readonly Panel[];
  readonly annotations: { readonly list: readonly { readonly expr: string }[] };
  readonly templating: { readonly list: readonly { readonly name: string; readonly query: unknown }[] };
}
const dashboard = JSON.parse(readFileSync(join(folder, "dashboard.json"), "utf8")) as Dashboard;

/** Every query of the dashboard with its variables filled in as Grafana does. */
const queries: readonly string[] = [
  ...dashboard.panels.flatMap(({ targets }) => (targets ?? []).map(({ expr }) => expr)),
  ...dashboard.annotations.list.map(({ expr }) => expr),
].map((expr) => expr.replaceAll("$job", ".*").replaceAll("$instance", ".*").replaceAll("$__rate_interval", "1m"));

const known = new Set([
  ...Object.entries(metricTable).flatMap(([name, { kind }]) => (kind === "histogram" ? [`${name}_bucket`] : [name])),
  ...processMetrics.map(([name]) => name),
  ...reportFamilies.map(({ name }) => name),
]);
const namesIn = (text: string): readonly string[] =>
  [...text.matchAll(/\b(?<!:)(?:pilotfish|istio_agent)_[a-z0-9_]+\b(?!:)/g)].map(([name]) => name);

describe("dashboard and rules", () => {
  test("speak only of metrics that exist", () => {
    const said = [...queries, ...rules.map((file) => rulesOnly(readFileSync(join(folder, file), "utf8")))].flatMap(
      namesIn,
    );
    expect(said.length).toBeGreaterThan(40);
    expect([...new Set(said)].filter((name) => !known.has(name))).toEqual([]);
  });

  test("what they take an increase of starts at 0 on the first page, or the first event would be none", async () => {
    const text = [...queries, ...rules.map((file) => rulesOnly(readFileSync(join(folder, file), "utf8")))].join("\n");
    const increasing = new Set([...text.matchAll(/(?:increase|rate)\((\w+)/g)].map(([, name = ""]) => name));
    const metrics = createAgentMetrics({ usage: ownUsage, build: { version: "", commit: "", node: "" } });
    const page = await metrics.text();
    const first = [...increasing].map((name) => [name, new RegExp(`^${name}(?:\\{.*\\})? (.*)$`, "m").exec(page)?.[1]]);
    expect(first.length).toBeGreaterThan(12);
    const running = ["istio_agent_process_cpu_seconds_total"];
    expect(first.filter(([name = "", value]) => value !== "0" && !running.includes(name))).toEqual([]);
    expect(page.match(/^pilotfish_config_rejections_total\{type="(?:CDS|EDS|LDS|RDS|SDS|ECDS)"\} 0$/gm)).toHaveLength(
      6,
    );
    expect(page).toContain('\npilotfish_drain_duration_seconds_bucket{le="+Inf"} 0\n');
    expect(page).toContain("\npilotfish_drain_duration_seconds_sum 0\n");
    // Of another type the first one is seen with the second; it is counted all the same.
    metrics.count("pilotfish_config_rejections_total", { type: "Runtime" });
    expect(await metrics.text()).toContain('\npilotfish_config_rejections_total{type="Runtime"} 1\n');
  });

  test("the dashboard is whole: ids, places, a description for each panel", () => {
    const { panels } = dashboard;
    expect(new Set(panels.map(({ id }) => id)).size).toBe(panels.length);
    for (const { type, title, description, gridPos, targets } of panels) {
      expect(gridPos.x + gridPos.w).toBeLessThanOrEqual(24);
      if (type === "row") continue;
      expect([title, description]).not.toContain("");
      expect(targets?.length ?? 0).toBeGreaterThan(0);
      expect(new Set(targets?.map(({ refId }) => refId)).size).toBe(targets?.length);
    }
    const overlap = panels.flatMap((a) =>
      panels.filter((b) => a.id < b.id && overlaps(a, b)).map((b) => [a.title, b.title]),
    );
    expect(overlap).toEqual([]);
    expect(dashboard.templating.list.map(({ name }) => name)).toEqual(["datasource", "job", "instance"]);
  });

  test("each alert is seen to fire, and each recording rule to be right, in alerts.test.yaml", () => {
    const judged = readFileSync(join(root, "test/programs/metrics/alerts.test.yaml"), "utf8");
    const all = rules.map((file) => readFileSync(join(folder, file), "utf8")).join("\n");
    const alerts = [...all.matchAll(/- alert: (\w+)/g)].map(([, name = ""]) => name);
    const records = [...all.matchAll(/- record: (\S+)/g)].map(([, name = ""]) => name);
    expect([alerts.length, records.length]).toEqual([16, 14]);
    expect(alerts.filter((name) => !judged.includes(`{alertname="${name}", instance=`))).toEqual([]);
    expect(records.filter((name) => !judged.includes(`expr: ${name}\n`))).toEqual([]);
  });

  test.skipIf(withoutPrometheus !== undefined)(
    `rules pass promtool, lints and all ${withoutPrometheus ?? ""}`,
    async () => {
      for (const file of rules) {
        const { code, out } = await run(promtool, ["check", "rules", "--lint=all", "--lint-fatal", join(folder, file)]);
        expect([file, code, code === 0 ? "" : out]).toEqual([file, 0, ""]);
      }
    },
  );

  test.skipIf(withoutPrometheus !== undefined)(
    `alerts fire when they should, and not before ${withoutPrometheus ?? ""}`,
    async () => {
      const work = temporaryFolder("rules");
      const file = join(work.path, "test.yaml");
      const text = readFileSync(join(root, "test/programs/metrics/alerts.test.yaml"), "utf8");
      writeFileSync(file, text.replaceAll("RULES", folder));
      const { code, out } = await run(promtool, ["test", "rules", file]);
      work.done();
      expect([code, out]).toEqual([0, expect.stringContaining("SUCCESS")]);
    },
  );

  test.skipIf(withoutPrometheus !== undefined)(
    `a real Prometheus loads the rules and answers every query ${withoutPrometheus ?? ""}`,
    async () => {
      const rig = await startRig({
        envoy: "# TYPE envoy_x counter\nenvoy_x 1\n",
        applications: ["# TYPE envoy_x gauge\nenvoy_x 2\n", (_q, r) => void r.writeHead(500).end()],
      });
      recordEverything(rig.metrics);
      const server = await startPrometheus({ target: `127.0.0.1:${rig.port}`, rules });
      try {
        await eventually("several scrapes", async () => (await server.value("count_over_time(up[1m])")) >= 4);
        const { groups } = (await server.api("rules")) as {
          groups: { rules: { health: string; lastError?: string }[] }[];
        };
        const evaluated = groups.flatMap((group) => group.rules);
        expect(evaluated).toHaveLength(30);
        await eventually("every rule was evaluated", async () => {
          const now = (await server.api("rules")) as typeof groups extends never ? never : { groups: typeof groups };
          return now.groups.flatMap((group) => group.rules).every(({ health }) => health === "ok");
        });
        const empty: string[] = [];
        for (const query of queries) if ((await server.query(query)).result.length === 0) empty.push(query);
        // An annotation is there only at the moment of a restart.
        expect(empty).toEqual([expect.stringContaining("changes(pilotfish_envoy_epoch")]);
      } finally {
        await server.done();
        await rig.done();
      }
    },
  );
});

/** Names in sentences don't count: they have their own test in the docs. */
const rulesOnly = (text: string): string =>
  text
    .split("\n")
    .filter((line) => /^\s+expr:/.test(line))
    .join("\n");

function overlaps({ gridPos: a }: Panel, { gridPos: b }: Panel): boolean {
  return a.x < b.x + b.w && b.x < a.x + a.w && a.y < b.y + b.h && b.y < a.y + a.h;
}

/** Every metric of the table gets a value, as after a long and eventful life. */
function recordEverything(metrics: Awaited<ReturnType<typeof startRig>>["metrics"]): void {
  for (const [name, { kind, labels }] of Object.entries(metricTable)) {
    const values = Object.entries(labels as Record<string, readonly string[] | string>);
    const filled = Object.fromEntries(
      values.map(([label, one]) => [label, typeof one === "string" ? "default" : one[0]]),
    );
    const loose = metrics as unknown as Record<string, (...args: unknown[]) => void>;
    if (kind === "counter") loose["count"]?.(name, filled);
    else if (kind === "gauge") loose["set"]?.(name, 1, filled);
    else loose["observe"]?.(name, 1);
  }
  metrics.set("pilotfish_envoy_state", 1, { state: "live" });
}
