import type { EnvoySettings } from "./agent-config.ts";
import type { EnvironmentReader } from "./environment-reader.ts";
import type { FlagReader } from "./flag-reader.ts";
import { readEnvoyLogLevels } from "./log-settings.ts";
import { addressFamilies } from "./node-addresses.ts";
import type { MergedProxy } from "./proxy-config.ts";

/** How Envoy is started. */
export function readEnvoySettings(
  flags: FlagReader,
  env: EnvironmentReader,
  proxy: MergedProxy,
  addresses: readonly string[],
  extraArguments: readonly string[],
): EnvoySettings {
  const dualStack = env.boolean("ISTIO_DUAL_STACK");
  return {
    disabled: env.boolean("DISABLE_ENVOY"),
    binaryPath: env.text("PILOTFISH_ENVOY") ?? proxy.binaryPath,
    // 0: one a processor, which is what Envoy does when it is not told.
    concurrency: proxy.concurrency || undefined,
    ...readEnvoyLogLevels(flags),
    skipDeprecatedLogs: env.boolean("ENVOY_SKIP_DEPRECATED_LOGS"),
    enableCoreDump: env.boolean("ISTIO_ENVOY_ENABLE_CORE_DUMP"),
    fileFlushInterval: proxy.fileFlushInterval,
    fileFlushMinSizeKb: proxy.fileFlushMinSizeKb,
    families: addressFamilies(addresses, dualStack),
    dualStack,
    drainTime: wholeSeconds(proxy.drainDuration),
    parentShutdownTime: wholeSeconds(proxy.parentShutdownDuration),
    extraArguments,
  };
}

/** Envoy's flags are in whole seconds, and a drain of nothing would divide by zero in its gradual strategy. */
const wholeSeconds = (duration: number): number => Math.max(1, Math.round(duration / 1_000)) * 1_000;
