import { exitInWords } from "../process/exit-words.ts";
import type { Outcome } from "../process/lifecycle.ts";

/** What can be found out after Envoy's end; each is asked only when it matters. */
export interface EndFacts {
  readonly binaryPath: string;
  /** The kernel's counter of the container proved that memory was the reason. */
  readonly outOfMemory: boolean;
  /** Ports of the bootstrap that somebody else holds now: "15000 (admin)". */
  readonly takenPorts: () => Promise<readonly string[]>;
  /** What `--mode validate` says against the bootstrap; undefined when it accepts it. */
  readonly refusal: () => Promise<string | undefined>;
}

export interface End {
  /** design: 0 asked and stopped, 1 Envoy ended by itself, 64 configuration refused, 69 something is missing. */
  readonly exitCode: 0 | 1 | 64 | 69;
  readonly text: string;
}

/** Envoy's end in words and as our exit code. */
export async function explainEnd(outcome: Outcome, facts: EndFacts): Promise<End> {
  switch (outcome.how) {
    case "stopped":
      return { exitCode: 0, text: `stopped: ${outcome.reason}${outcome.forced ? "; Envoy had to be killed" : ""}` };
    case "asked-envoy":
      return { exitCode: 0, text: "stopped: Envoy was asked to end through its admin" };
    case "not-started":
      return { exitCode: 69, text: `${outcome.error.message}; check --binaryPath, or set PILOTFISH_ENVOY` };
    case "died":
      return outcome.beforeLive && outcome.exit.how === "exited"
        ? earlyExit(outcome.exit.code, facts)
        : died(outcome, facts);
  }
}

function died(outcome: Extract<Outcome, { how: "died" }>, facts: EndFacts): End {
  const when = outcome.beforeLive ? "before it was live" : "while it was serving";
  return {
    exitCode: 1,
    text: `Envoy (epoch ${outcome.epoch}) ${exitInWords(outcome.exit, facts.outOfMemory)} ${when}`,
  };
}

/** Exec failed behind setpriv (126: cannot execute, 127: not found), a port is taken, or the configuration is refused. */
async function earlyExit(code: number, facts: EndFacts): Promise<End> {
  if (code === 126 || code === 127) {
    return {
      exitCode: 69,
      text: `cannot start Envoy: ${facts.binaryPath} cannot be executed; check --binaryPath, or set PILOTFISH_ENVOY`,
    };
  }
  const taken = await facts.takenPorts();
  if (taken.length > 0) {
    const list = taken.join(", ");
    return {
      exitCode: 69,
      text: `cannot start Envoy: port ${list} is taken by another process; end that process or choose another port`,
    };
  }
  const refusal = await facts.refusal();
  if (refusal !== undefined) return { exitCode: 64, text: `Envoy refuses this configuration: ${refusal}` };
  return { exitCode: 1, text: `Envoy ended with exit code ${code} before it was live; its log above says why` };
}
