import type { AgentConfig } from "../config/agent-config.ts";
import type { LaunchHow } from "./launch.ts";

/**
 * Envoy's own log in the shape of ours. %j is the message as a JSON string, %n the component
 * (Envoy: --log-format, "application logs").
 */
const JSON_LOG = '{"level":"%l","time":"%Y-%m-%dT%T.%fZ","scope":"envoy %n","msg":"%j","caller":"%g:%#","thread":"%t"}';
const TEXT_LOG = "%Y-%m-%dT%T.%fZ\t%l\tenvoy %n\t%v\tcaller=%g:%# thread=%t";

export interface LaunchFiles {
  readonly bootstrapPath: string;
  /** YAML or JSON that Envoy merges over the bootstrap; undefined when there is none. */
  readonly override: string | undefined;
  /** The file sets the shape of Envoy's log itself; Envoy refuses --log-format then. */
  readonly setsLogFormat: boolean;
}

/** An Envoy that no other one follows: a validation, or one without shared memory. */
export const withoutHotRestart: Pick<LaunchHow, "epoch" | "hotRestart"> = { epoch: 0, hotRestart: undefined };

/**
 * Envoy's arguments for one epoch (features.md PROC-1). Envoy's parser wants `--flag value` in two words and refuses
 * a flag given twice. An admin path of `LaunchHow` is no flag: it belongs into `files.override`.
 */
export function envoyArguments(
  config: AgentConfig,
  files: LaunchFiles,
  how: Pick<LaunchHow, "epoch" | "hotRestart" | "concurrency"> = withoutHotRestart,
): readonly string[] {
  const { envoy, node, log } = config;
  const concurrency = envoy.concurrency ?? how.concurrency;
  const given = new Set(envoy.extraArguments.filter((word) => word.startsWith("-")));
  const flags: readonly (readonly [string, ...string[]])[] = [
    ["-c", files.bootstrapPath],
    ...(files.override === undefined ? [] : [["--config-yaml", files.override] as const]),
    ["--drain-time-s", seconds(envoy.drainTime)],
    ["--drain-strategy", "immediate"],
    ["--local-address-ip-version", envoy.families === "v6" ? "v6" : "v4"],
    ["--file-flush-interval-msec", String(Math.round(envoy.fileFlushInterval))],
    ...(envoy.fileFlushMinSizeKb === undefined
      ? []
      : [["--file-flush-min-size-kb", String(envoy.fileFlushMinSizeKb)] as const]),
    ...lineageFlags(how),
    ["--allow-unknown-static-fields"],
    ["-l", envoy.logLevel],
    ...(envoy.componentLogLevel === undefined ? [] : [["--component-log-level", envoy.componentLogLevel] as const]),
    ...(files.setsLogFormat ? [] : [["--log-format", log.json ? JSON_LOG : TEXT_LOG] as const]),
    ...(envoy.skipDeprecatedLogs ? [["--skip-deprecated-logs"] as const] : []),
    ...(envoy.enableCoreDump ? [["--enable-core-dump"] as const] : []),
    ...(concurrency === undefined ? [] : [["--concurrency", String(concurrency)] as const]),
    // A template's bootstrap says who we are; a custom file may not.
    ...(config.bootstrap.kind === "custom"
      ? [["--service-cluster", node.cluster] as const, ["--service-node", node.nodeId] as const]
      : []),
  ];
  return [...flags.filter(([name]) => !given.has(name)).flat(), ...envoy.extraArguments];
}

/**
 * Where the epochs of one lineage meet (hot-restart.md 10, 12). Without a lineage shared memory is not touched, and the
 * kernel's bond with us is not made by Envoy either.
 */
function lineageFlags({
  epoch,
  hotRestart,
}: Pick<LaunchHow, "epoch" | "hotRestart">): readonly (readonly [string, ...string[]])[] {
  if (hotRestart === undefined) return [["--disable-hot-restart"]];
  const { lineage, parentShutdown } = hotRestart;
  return [
    ["--base-id", String(lineage.baseId)],
    ["--socket-path", lineage.prefix],
    ["--restart-epoch", String(epoch)],
    ["--parent-shutdown-time-s", seconds(parentShutdown)],
  ];
}

/** Envoy counts in whole seconds; a drain of 0 s would divide by zero in its gradual strategy. */
const seconds = (duration: number): string => String(Math.max(1, Math.round(duration / 1_000)));

/** systemd speaks to us by these; an Envoy that had them could speak for us. */
const OURS_ALONE = ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"];

/** The environment for Envoy and hooks: ours, without what the launcher set for our own memory alone. */
export function environmentForEnvoy(env: ReadonlyMap<string, string>): ReadonlyMap<string, string> {
  const ours = new Set([...OURS_ALONE, "PILOTFISH_TUNING", ...(env.get("PILOTFISH_TUNING") ?? "").split(" ")]);
  return new Map([...env].filter(([name]) => !ours.has(name)));
}
