import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { parse } from "yaml";
import type { Problem } from "../../src/foundation/errors.ts";
import { injectText, type TextResult } from "../../src/inject/inject-text.ts";
import type { InjectorConfig, Mode } from "../../src/inject/injector-config.ts";
import { readInjectorConfig } from "../../src/inject/injector-config-reader.ts";
import type { Json } from "../../src/inject/json-value.ts";
import { root } from "../helpers/paths.ts";

export const folder = join(root, "test/golden/inject");
export const cases: readonly string[] = readdirSync(folder).sort();
export const modes: readonly Mode[] = ["native", "classic"];

/** The version in goldens: theirs shall not change with ours. */
export const goldenVersion = "0.0.0-golden";

export function configOf(text: string | undefined): InjectorConfig {
  const problems: Problem[] = [];
  const config = readInjectorConfig(text === undefined ? {} : (parse(text) as Json), goldenVersion, problems);
  if (problems.length > 0) throw new Error(JSON.stringify(problems));
  return config;
}

export function readCase(name: string): { readonly pod: string; readonly config: InjectorConfig } {
  const files = readdirSync(join(folder, name));
  const config = files.includes("config.yaml") ? readFileSync(join(folder, name, "config.yaml"), "utf8") : undefined;
  return { pod: readFileSync(join(folder, name, "pod.yaml"), "utf8"), config: configOf(config) };
}

export function inject(text: string, config: InjectorConfig, mode?: Mode, remove = false): TextResult {
  return injectText(text, { path: "pod.yaml", namespace: "default", mode, remove }, config);
}

/** What the person is told, one line each. */
export function reportOf(result: TextResult): string {
  const lines = result.reports.flatMap(({ outcome, place, notes }) => {
    const { done } = outcome;
    const what =
      done.kind === "injected"
        ? `injected (${done.mode})`
        : done.kind === "left-alone"
          ? `left alone: ${done.why.reason}: ${done.why.text}`
          : done.kind;
    return [
      `${place}: ${outcome.owner.kind} ${what}`,
      ...notes.map((one) => `  ${one.place}: ${one.note.level}: ${one.note.text}`),
    ];
  });
  return [...lines, ...result.problems.map((one) => `  ${one.name}: ${one.text}`), ""].join("\n");
}
