import type { AgentConfig } from "../config/agent-config.ts";
import { Unavailable } from "../foundation/errors.ts";
import { environmentForEnvoy, envoyArguments, type LaunchFiles } from "../process/envoy-command-line.ts";
import type { EnvoyStarter } from "../process/envoy-supervisor.ts";
import { executable } from "../system/files.ts";
import { isPid1 } from "../system/process.ts";
import { findProgram, runProgram, startProgram } from "../system/programs.ts";

export interface LaunchDeps {
  readonly config: AgentConfig;
  readonly env: ReadonlyMap<string, string>;
  /** The bootstrap of an epoch, written. */
  readonly filesOf: (epoch: number) => LaunchFiles;
}

const wrong = {
  missing: "there is no such file",
  directory: "it is a directory",
  "not-executable": "it may not be executed by this user",
  "not-a-program": "it is not a program",
} as const;

/**
 * Whether the kernel can be asked to end Envoy with us. As PID 1 it does so anyway: the whole namespace goes. Without
 * setpriv (another distribution) Envoy would outlive a SIGKILL of ours; the agent says so once.
 */
export function deathBond(env: ReadonlyMap<string, string>): "namespace" | "setpriv" | "none" {
  if (isPid1) return "namespace";
  return findProgram("setpriv", env.get("PATH") ?? "/usr/bin:/bin") === undefined ? "none" : "setpriv";
}

/** Starts Envoy, one epoch at a time. */
export function envoyStarter({ config, env, filesOf }: LaunchDeps): EnvoyStarter {
  const binary = config.envoy.binaryPath;
  const environment = environmentForEnvoy(env);
  return {
    start(epoch, onExit) {
      const verdict = executable(binary);
      if (verdict !== "yes") throw new Unavailable(`cannot start Envoy: "${binary}": ${wrong[verdict]}`);
      const args = envoyArguments(config, filesOf(epoch));
      return startProgram(binary, args, { environment, dieWithUs: deathBond(env) === "setpriv" }, { onExit });
    },
  };
}

/** Longest that a validation may take: a big bootstrap on a throttled processor. */
const VALIDATE_WITHIN = 30_000;

/** Envoy's objection against the bootstrap, in its own words; undefined when it has none. */
export async function validationRefusal(
  { config, env, filesOf }: LaunchDeps,
  epoch: number,
): Promise<string | undefined> {
  const args = ["--mode", "validate", ...envoyArguments(config, filesOf(epoch))];
  const { exit, stderr, stdout } = await runProgram(config.envoy.binaryPath, args, {
    environment: environmentForEnvoy(env),
    timeout: VALIDATE_WITHIN,
  });
  if (exit.how === "exited" && exit.code === 0) return undefined;
  if (exit.how === "timed-out") return undefined;
  return lastWords(`${stdout}\n${stderr}`);
}

/** The line in which Envoy says what it minds: the last critical or error line, else the last line. */
function lastWords(text: string): string {
  const lines = text
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "");
  const telling = lines.findLast((line) => /critical|error/i.test(line)) ?? lines.at(-1) ?? "it does not say why";
  return telling.slice(0, 2_000);
}
