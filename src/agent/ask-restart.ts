import type { Log } from "../foundation/log.ts";
import type { EnvoyPort } from "../process/envoy-port.ts";
import type { RestartAsk, RestartOutcome } from "../process/launch.ts";

/** Asks for a new Envoy, and says in one line of the log what became of it. Never rejects. */
export async function askRestart(
  envoy: Pick<EnvoyPort, "restart">,
  log: Log,
  ask: RestartAsk,
): Promise<RestartOutcome> {
  const outcome = await envoy.restart(ask);
  const { cause } = ask;
  switch (outcome.is) {
    case "restarted": {
      const { by, epoch, took } = outcome;
      log.info(by === "swap" ? "Envoy swapped" : "Envoy hot-restarted", { cause, epoch, took: Math.round(took) });
      break;
    }
    case "unchanged":
      log.info("Envoy runs on: it would be started with the same", { cause });
      break;
    case "refused":
      log.warn("Restart of Envoy refused; nothing was touched", { cause, why: outcome.why });
      break;
    case "failed":
      log.error("Restart of Envoy failed; the one before serves on", { cause, why: outcome.why });
      break;
    case "overtaken":
      log.info("Restart of Envoy left out", { cause, why: outcome.why });
      break;
  }
  return outcome;
}
