import type { Log } from "../foundation/log.ts";
import type { EnvoyPort } from "../process/envoy-port.ts";
import type { AgentSignal } from "../system/early-signals.ts";
import { askRestart } from "./ask-restart.ts";

/**
 * What each signal means. TERM and INT drain and stop (the machine makes the second one "now"), HUP asks for a hot
 * restart, USR1 goes to Envoy (it reopens its logs), QUIT writes the state to the log.
 */
export function signalMeaning(envoy: EnvoyPort, log: Log, dump: () => void): (signal: AgentSignal) => void {
  const stop = (signal: AgentSignal): void => {
    log.info("Asked to stop", { reason: signal });
    envoy.post({ on: "stop", reason: signal, drain: true });
  };
  return (signal) => {
    switch (signal) {
      case "SIGTERM":
      case "SIGINT":
        return stop(signal);
      case "SIGHUP":
        log.info("Asked for a hot restart", { reason: signal });
        return void askRestart(envoy, log, { cause: signal, strategy: "auto", explicit: true, ignoreMemory: false });
      case "SIGUSR1":
        return reopenLogs(envoy, log);
      case "SIGQUIT":
        return dump();
    }
  };
}

function reopenLogs(envoy: EnvoyPort, log: Log): void {
  const sent = envoy.current()?.signal("SIGUSR1") ?? "gone";
  log.info(sent === "sent" ? "Envoy was asked to reopen its logs" : "No Envoy is there to reopen its logs", {
    reason: "SIGUSR1",
  });
}
