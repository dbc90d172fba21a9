import { readBootstrapFiles, writeBootstrap } from "../bootstrap/bootstrap-file.ts";
import { type RenderedBootstrap, renderBootstrap } from "../bootstrap/render-bootstrap.ts";
import type { AgentConfig } from "../config/agent-config.ts";
import { Refused, Unavailable } from "../foundation/errors.ts";
import { environmentForEnvoy, envoyArguments } from "../process/envoy-command-line.ts";
import { type Finished, runProgram } from "../system/programs.ts";
import { temporaryFolder } from "../system/temporary-folder.ts";
import type { Call } from "./command.ts";
import { exitCodes } from "./exit-codes.ts";
import { loadAgentConfig } from "./load-config.ts";

/** Longest that Envoy's validation may take: a big bootstrap on a throttled processor. */
const VALIDATE_WITHIN = 30_000;

export async function run(call: Call): Promise<number> {
  const config = await loadAgentConfig(call.flags, call.env);
  const rendered = await renderBootstrap(config, await readBootstrapFiles(config));
  for (const notice of [...config.notices, ...rendered.notices]) call.err(`pilotfish: note: ${notice}\n`);
  if (isSet(call, "validate")) return validate(call, config, rendered);
  if (rendered.override !== undefined) {
    call.err(`pilotfish: note: Envoy merges "${config.bootstrap.overridePath ?? ""}" over this\n`);
  }
  call.out(isSet(call, "show-secrets") ? rendered.text : redacted(rendered.text, config));
  return exitCodes.ok;
}

const isSet = (call: Call, name: string): boolean => call.flags.values.get(name)?.at(-1) === "true";

/** Output of this command ends up in tickets. The token stands in the tracer's metadata and in the node's. */
function redacted(text: string, { proxy }: AgentConfig): string {
  const token = proxy.tracing?.kind === "opentelemetry" ? proxy.tracing.accessToken : undefined;
  if (token === undefined || token === "") return text;
  const spellings = [token, token.replaceAll("%", "%%")].map((one) => JSON.stringify(one));
  return spellings.reduce((left, one) => left.replaceAll(one, '"[redacted]"'), text);
}

async function validate(call: Call, config: AgentConfig, rendered: RenderedBootstrap): Promise<number> {
  const { exit, stdout, stderr } = await askEnvoy(call, config, rendered);
  call.out(stdout);
  call.err(stderr);
  switch (exit.how) {
    case "exited":
      return exit.code === 0 ? exitCodes.ok : exitCodes.usage;
    case "killed":
      throw new Refused(`cannot validate the bootstrap: Envoy was ended by ${exit.signal}`);
    case "timed-out":
      throw new Refused(`cannot validate the bootstrap: Envoy was not done within ${VALIDATE_WITHIN / 1_000} s`);
    case "not-started":
      throw new Unavailable(
        `cannot start Envoy: "${config.envoy.binaryPath}": ${exit.reason}; name one by --binaryPath or PILOTFISH_ENVOY`,
      );
  }
}

async function askEnvoy(call: Call, config: AgentConfig, rendered: RenderedBootstrap): Promise<Finished> {
  const folder = temporaryFolder("pilotfish-bootstrap");
  try {
    const bootstrapPath = writeBootstrap(rendered, folder.path, 0);
    const files = { bootstrapPath, override: rendered.override, setsLogFormat: rendered.facts.setsLogFormat };
    return await runProgram(config.envoy.binaryPath, ["--mode", "validate", ...envoyArguments(config, files)], {
      environment: environmentForEnvoy(call.env),
      timeout: VALIDATE_WITHIN,
    });
  } finally {
    folder.remove();
  }
}
