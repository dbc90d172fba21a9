import type { AgentConfig } from "../config/agent-config.ts";
import { environmentForEnvoy, envoyArguments, type LaunchFiles } from "../process/envoy-command-line.ts";
import { type Finished, runProgram } from "../system/programs.ts";

/** Longest that a validation may take: a big bootstrap on a throttled processor. */
const VALIDATE_WITHIN = 30_000;

export interface ValidationCall {
  readonly config: AgentConfig;
  readonly env: ReadonlyMap<string, string>;
  readonly files: LaunchFiles;
}

export type Validation =
  | { readonly is: "accepted" }
  /** In Envoy's own words. */
  | { readonly is: "refused"; readonly words: string }
  /** It could not be found out: a binary that does not run, no time. */
  | { readonly is: "unknown"; readonly why: string };

/**
 * What Envoy's validate mode says about the bootstrap. The arguments are those of a start without hot restart: shared
 * memory and sockets of a running Envoy are not touched, and validation binds nothing.
 */
export async function validate({ config, env, files }: ValidationCall): Promise<Validation> {
  const args = ["--mode", "validate", ...envoyArguments(config, files)];
  return validationIn(
    await runProgram(config.envoy.binaryPath, args, {
      environment: environmentForEnvoy(env),
      timeout: VALIDATE_WITHIN,
    }),
  );
}

/** What the end of a validation means. */
export function validationIn({ exit, stdout, stderr }: Finished): Validation {
  switch (exit.how) {
    case "exited":
      return exit.code === 0 ? { is: "accepted" } : { is: "refused", words: lastWords(`${stdout}\n${stderr}`) };
    case "killed":
      return { is: "unknown", why: `Envoy was ended by ${exit.signal} while it checked the bootstrap` };
    case "timed-out":
      return { is: "unknown", why: `Envoy did not finish its check within ${VALIDATE_WITHIN / 1_000} s` };
    case "not-started":
      return { is: "unknown", why: `Envoy could not be started for the check: ${exit.reason}` };
  }
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
