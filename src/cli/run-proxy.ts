import { runAgent } from "../agent/agent.ts";
import { nodeVersion } from "../system/command-line.ts";
import { buildInfo } from "./build-info.ts";
import type { Call } from "./command.ts";
import { loadAgentConfig } from "./load-config.ts";

export async function run(call: Call): Promise<number> {
  const config = await loadAgentConfig(call.flags, call.env);
  return runAgent(config, call.env, { ...buildInfo(), node: nodeVersion() });
}
