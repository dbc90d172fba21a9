import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { root } from "../../helpers/paths.ts";

/** Whoever reads pages strictly, and what set-up has brought for it. */
const python = join(root, ".cache/python/bin/python");
const strictParse = join(root, ".cache/golang/strict-parse");
const dashboardSchema = join(root, ".cache/golang/dashboard-schema");
export const promtool = join(root, ".cache/prometheus/bin/promtool");
export const prometheus = join(root, ".cache/prometheus/bin/prometheus");

/** Undefined when it is there; else why a test can't run. Set-up said it too. */
export const withoutGo = existsSync(strictParse) ? undefined : "no Go program (.cache/golang): set-up says why";
export const withoutSchema = existsSync(dashboardSchema) ? undefined : "no Go program (.cache/golang): set-up says why";
export const withoutPrometheus = existsSync(prometheus) ? undefined : "no Debian prometheus package: set-up says why";

export interface PythonVerdict {
  readonly error?: string;
  /** Each sample as `name{"label": "value"}`. */
  readonly series?: readonly string[];
  readonly types?: Readonly<Record<string, string>>;
}

/** What Python's strict OpenMetrics parser says of each page. */
export function openMetricsVerdicts(pages: readonly string[]): Promise<readonly PythonVerdict[]> {
  const script = join(root, "test/programs/metrics/strict-openmetrics.py");
  return lines<PythonVerdict>(
    python,
    [script],
    pages.map((page) => ({ page })),
  );
}

export interface GoVerdict {
  readonly error?: string;
  readonly series: number;
  readonly distinct: number;
  readonly families: Readonly<Record<string, number>>;
  readonly duplicates?: readonly string[];
  /** Series, time in ms and value of each sample. */
  readonly samples?: readonly string[];
}

/** What Prometheus' own parser says of each page. */
export function prometheusVerdicts(
  pages: readonly { readonly contentType: string; readonly page: string }[],
): Promise<readonly GoVerdict[]> {
  return lines<GoVerdict>(strictParse, [], pages);
}

/** What is wrong with each dashboard by Grafana's own schemas: each fault as "place: why". */
export async function dashboardFaults(dashboards: readonly object[]): Promise<readonly (readonly string[])[]> {
  const verdicts = await lines<{ readonly faults: readonly string[] }>(dashboardSchema, [], dashboards);
  return verdicts.map(({ faults }) => faults);
}

/** What promtool says of a text page: undefined, or its parse error. Its lints on names don't count. */
export async function promtoolError(page: string | Buffer): Promise<string | undefined> {
  const { code, out } = await run(promtool, ["check", "metrics"], page);
  return code === 0 || code === 3 ? undefined : out;
}

async function lines<T>(program: string, args: readonly string[], input: readonly object[]): Promise<readonly T[]> {
  const { code, out } = await run(program, args, input.map((one) => `${JSON.stringify(one)}\n`).join(""));
  if (code !== 0) throw new Error(`${program} exited with ${code}: ${out}`);
  return out
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as T);
}

/** Runs a program to its end with `input`; its standard output, or its errors when it failed. */
export function run(
  program: string,
  args: readonly string[],
  input: string | Buffer = "",
): Promise<{ readonly code: number | null; readonly out: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, [...args], { stdio: ["pipe", "pipe", "pipe"] });
    const said: Buffer[] = [];
    const complained: Buffer[] = [];
    child.stdout.on("data", (part: Buffer) => said.push(part));
    child.stderr.on("data", (part: Buffer) => complained.push(part));
    child.stdin.on("error", () => undefined);
    child.once("error", reject);
    child.once("close", (code) => {
      const out = Buffer.concat(said).toString();
      resolve({ code, out: code === 0 ? out : `${out}${Buffer.concat(complained).toString()}` });
    });
    child.stdin.end(input);
  });
}
