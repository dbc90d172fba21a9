import { runAgent } from "../agent/agent.ts";
import { nodeVersion } from "../system/command-line.ts";
import { buildInfo } from "./build-info.ts";
import type { Call } from "./command.ts";
import { configFiles, loadAgentConfig } from "./load-config.ts";

export async function run(call: Call): Promise<number> {
  const reread = () => loadAgentConfig(call.flags, call.env);
  const sources = { reread, files: configFiles(call.flags) };
  return runAgent(await reread(), call.env, { ...buildInfo(), node: nodeVersion() }, sources);
}
