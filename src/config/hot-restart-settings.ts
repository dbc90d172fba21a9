import type { Problems } from "../foundation/problems.ts";
import type { HotRestartSettings, Watched } from "./agent-config.ts";
import type { EnvironmentReader } from "./environment-reader.ts";
import type { FlagReader } from "./flag-reader.ts";
import { firstSet } from "./units.ts";

/** Envoy multiplies it by ten in 32 bits. */
const LARGEST_BASE_ID = 429_496_729;

/** When and how Envoy is replaced; flags beat the environment. */
export function readHotRestart(flags: FlagReader, env: EnvironmentReader, problems: Problems): HotRestartSettings {
  const fromFlag = flags.text("watch");
  const watch =
    fromFlag === undefined
      ? readWatch("PILOTFISH_WATCH", env.list("PILOTFISH_WATCH") ?? [], problems)
      : readWatch("--watch", fromFlag.split(","), problems);
  const probation = env.duration("PILOTFISH_PROBATION");
  return {
    watch,
    baseId: firstSet(flags.integer("base-id", 0, LARGEST_BASE_ID), baseIdOf(env, problems)),
    probation: flags.duration("probation", 0) ?? probation,
    ignoreMemory: env.boolean("PILOTFISH_IGNORE_MEMORY"),
  };
}

const kinds = ["bootstrap", "binary"] as const satisfies readonly Watched[];

function readWatch(name: string, words: readonly string[], problems: Problems): readonly Watched[] {
  const given = words.map((word) => word.trim()).filter((word) => word !== "");
  const unknown = given.filter((word) => word !== "none" && !kinds.some((kind) => kind === word));
  const both = given.includes("none") && given.length > 1;
  if (unknown.length > 0 || both) {
    problems.add(name, `"${given.join(",")}" can't be used; use bootstrap, binary, both with a comma between, or none`);
  }
  return kinds.filter((kind) => given.includes(kind));
}

function baseIdOf(env: EnvironmentReader, problems: Problems): number | undefined {
  const given = env.integer("PILOTFISH_BASE_ID");
  if (given === undefined || given <= LARGEST_BASE_ID) return given;
  problems.add("PILOTFISH_BASE_ID", `"${given}" can't be used; use a whole number from 0 to ${LARGEST_BASE_ID}`);
  return undefined;
}
