import type { Outcome } from "../process/lifecycle.ts";
import { probePort } from "../system/network.ts";
import type { AgentParts } from "./agent-parts.ts";
import { explainEnd } from "./explain-end.ts";
import type { RenderedLaunch } from "./rendered-launch.ts";

/** Finds out why Envoy ended, says it, and gives the exit code. */
export async function endOf(
  outcome: Outcome,
  parts: AgentParts,
  first: RenderedLaunch,
  outOfMemory: boolean,
): Promise<number> {
  const { config, log } = parts;
  const end = await explainEnd(outcome, {
    binaryPath: config.envoy.binaryPath,
    outOfMemory,
    takenPorts: () => takenPorts(parts),
    refusal: async () => {
      const validation = await first.validate();
      return validation.is === "refused" ? validation.words : undefined;
    },
  });
  if (end.exitCode === 0) log.info(end.text);
  else log.error(end.text, { exitCode: end.exitCode });
  return end.exitCode;
}

/** Envoy is gone, so a port of the bootstrap that cannot be listened on now is somebody else's. */
async function takenPorts({ facts }: AgentParts): Promise<readonly string[]> {
  const wanted = [
    ...(facts.admin === undefined ? [] : [{ name: "admin", at: facts.admin }]),
    ...facts.staticListeners.flatMap(({ name, addresses }) => addresses.map((at) => ({ name, at }))),
  ];
  const seen = await Promise.all(
    wanted.map(async ({ name, at }) =>
      at.kind === "tcp" && (await probePort(at.host, at.port)) === "taken" ? [`${at.port} (${name})`] : [],
    ),
  );
  return seen.flat();
}
