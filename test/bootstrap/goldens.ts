import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type RenderedBootstrap, renderBootstrap } from "../../src/bootstrap/render-bootstrap.ts";
import type { AgentConfig } from "../../src/config/agent-config.ts";
import { root } from "../helpers/paths.ts";
import { type PodInput, podConfig } from "./config-fixture.ts";

/** One case: what a pod gives its proxy, and what Envoy is to get. */
export interface Golden {
  readonly name: string;
  readonly about: string;
  readonly folder: string;
  readonly config: AgentConfig;
  readonly render: () => Promise<RenderedBootstrap>;
  /** A word of Envoy's refusal, for the few that stock Envoy can't take. */
  readonly envoyRefuses: string | undefined;
}

interface Input extends PodInput {
  readonly about: string;
  readonly resolved?: Readonly<Record<string, string>>;
  readonly envoyRefuses?: string;
}

const folder = join(root, "test/golden/bootstrap");

export const goldens: readonly Golden[] = readdirSync(folder)
  .toSorted()
  .map((name) => {
    const input = JSON.parse(readFileSync(join(folder, name, "input.json"), "utf8")) as Input;
    const config = podConfig(input);
    const { kind, path, overridePath } = config.bootstrap;
    const own = path === undefined ? undefined : input.files?.[path];
    return {
      name,
      about: input.about,
      folder: join(folder, name),
      config,
      envoyRefuses: input.envoyRefuses,
      render: () =>
        renderBootstrap(config, {
          ...(kind === "custom" ? { custom: own } : { template: own }),
          override: overridePath === undefined ? undefined : input.files?.[overridePath],
          resolved: new Map(Object.entries(input.resolved ?? {})),
        }),
    };
  });

/** The files of a golden as they should be, by name. */
export function goldenFiles(rendered: RenderedBootstrap): ReadonlyMap<string, string> {
  const { text, format, override, usedAsItIs, facts, notices } = rendered;
  const rest = { usedAsItIs, facts, notices };
  return new Map([
    [`expected.${format}`, text],
    ["facts.json", `${JSON.stringify(rest, undefined, 2)}\n`],
    ...(override === undefined ? [] : ([["override.yaml", override]] as const)),
  ]);
}

/** What stands in the folder now, without the input. */
export function filesOf(golden: Golden): ReadonlyMap<string, string> {
  const names = readdirSync(golden.folder).filter((name) => name !== "input.json");
  return new Map(names.map((name) => [name, readFileSync(join(golden.folder, name), "utf8")]));
}

/** UPDATE_GOLDEN=1 writes what is rendered now; look at the difference before you commit it. */
export function updateGolden(golden: Golden, files: ReadonlyMap<string, string>): void {
  for (const name of filesOf(golden).keys()) if (!files.has(name)) rmSync(join(golden.folder, name));
  for (const [name, text] of files) {
    const path = join(golden.folder, name);
    if (!existsSync(path) || readFileSync(path, "utf8") !== text) writeFileSync(path, text);
  }
}
