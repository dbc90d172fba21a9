import { type ChildProcess, spawn } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { eventually } from "../../helpers/eventually.ts";
import { freePorts } from "../../helpers/free-ports.ts";
import { root, temporaryFolder } from "../../helpers/paths.ts";
import { prometheus } from "./judges.ts";

/** A real Prometheus on a port and a folder of its own; it scrapes `target` every second. */
export interface PrometheusRun {
  /** The value of a query at this moment: Prometheus' own `data`. Throws what it says about a query that it refuses. */
  query(expression: string): Promise<QueryData>;
  /** Asks until `query` has a result; gives its first value. */
  value(expression: string): Promise<number>;
  api(path: string): Promise<unknown>;
  output(): string;
  done(): Promise<void>;
}

export interface QueryData {
  readonly resultType: string;
  readonly result: readonly {
    readonly metric: Readonly<Record<string, string>>;
    readonly value: readonly [number, string];
  }[];
}

export interface PrometheusOptions {
  /** `host:port`. */
  readonly target: string;
  readonly path?: string;
  /** Files of deploy/observability. */
  readonly rules?: readonly string[];
}

export async function startPrometheus({ target, path, rules = [] }: PrometheusOptions): Promise<PrometheusRun> {
  const [port = 0] = await freePorts(1);
  const folder = temporaryFolder("prometheus");
  const config = join(folder.path, "prometheus.yml");
  const files = rules.map((name) => `  - ${join(root, "deploy/observability", name)}`);
  writeFileSync(
    config,
    [
      "global: {scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}",
      files.length === 0 ? "" : `rule_files:\n${files.join("\n")}`,
      "scrape_configs:",
      "  - job_name: pod",
      `    metrics_path: ${path ?? "/stats/prometheus"}`,
      `    static_configs: [{targets: ["${target}"]}]`,
    ].join("\n"),
  );
  const args = [`--config.file=${config}`, `--storage.tsdb.path=${join(folder.path, "data")}`, "--log.level=info"];
  const child = spawn(prometheus, [...args, `--web.listen-address=127.0.0.1:${port}`], {
    stdio: ["ignore", "ignore", "pipe"],
  });
  let output = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    output += text;
  });
  const api = (asked: string): Promise<unknown> => ask(`http://127.0.0.1:${port}/api/v1/${asked}`);
  const query = async (expression: string): Promise<QueryData> =>
    (await api(`query?query=${encodeURIComponent(expression)}`)) as QueryData;
  await eventually(`Prometheus is ready: ${output}`, async () => (await fetch(`http://127.0.0.1:${port}/-/ready`)).ok);
  return {
    api,
    query,
    value: (expression) =>
      eventually(`a value of ${expression}`, async () => (await query(expression)).result[0]?.value[1]).then(Number),
    output: () => output,
    done: () => ended(child).then(folder.done),
  };
}

async function ask(url: string): Promise<unknown> {
  const answer = (await (await fetch(url)).json()) as { status: string; data?: unknown; error?: string };
  if (answer.status !== "success") throw new Error(`${url}: ${answer.error}`);
  return answer.data;
}

function ended(child: ChildProcess): Promise<void> {
  return new Promise((resolve) => {
    child.once("exit", () => resolve());
    child.kill("SIGKILL");
  });
}
