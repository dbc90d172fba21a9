import type { AgentConfig } from "../config/agent-config.ts";
import { readJson } from "../config/structured-text.ts";
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
    await runProgram(config.envoy.binaryPath, withOwnLog(args), {
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

/** `%j` is the message as a JSON string without its quotes: one line each, whatever is in it. */
const LOG_FORMAT = "%l %j";

const withOwnLog = (args: readonly string[]): readonly string[] =>
  args.map((word, index) => (args[index - 1] === "--log-format" ? LOG_FORMAT : word));

/** What Envoy minds: its last critical or error message, else its last line. */
function lastWords(text: string): string {
  const lines = text
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "");
  const message = lines.flatMap((line) => /^(?:critical|error) (.+)$/.exec(line)?.[1] ?? []).at(-1);
  const telling = message === undefined ? lines.findLast((line) => /critical|error/i.test(line)) : unescaped(message);
  return withoutDump(telling ?? lines.at(-1) ?? "it does not say why").slice(0, 2_000);
}

function unescaped(message: string): string {
  const read = readJson(`"${message}"`);
  return read.ok && typeof read.value === "string" ? read.value : message;
}

/**
 * Envoy repeats the document that it minds, whole, as JSON or as protobuf's text: keys and tokens may stand in it, and
 * this goes into the log. Its text for people has blanks of chance between the words.
 */
function withoutDump(message: string): string {
  return message
    .replace(/^.*?error initializing configuration '[^']*': /s, "")
    .replace(/^goo\.gle\/debug\w+.*?\n: /s, "")
    .replace(/:? *goo\.gle\/debug\w+.*$/s, "")
    .replace(/\): \{.*$/s, ")")
    .replace(/\s+/g, " ")
    .trim();
}
