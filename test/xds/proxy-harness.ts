import type { ControlPlaneConfig } from "../../src/config/control-plane-config.ts";
import { type Log, noLog } from "../../src/foundation/log.ts";
import { realClock } from "../../src/system/clock.ts";
import { type AdsProxy, type AdsProxyDeps, createAdsProxy } from "../../src/xds/ads-proxy.ts";
import { noXdsMetrics } from "../../src/xds/xds-metrics.ts";

/** A log that remembers its sentences. */
export function rememberingLog(): { readonly log: Log; readonly lines: string[] } {
  const lines: string[] = [];
  const at =
    (level: string) =>
    (text: string, facts = {}): void => {
      lines.push(`${level} ${text} ${JSON.stringify(facts)}`);
    };
  const log: Log = {
    debug: () => undefined,
    info: at("info"),
    warn: at("warn"),
    error: at("error"),
    scoped: () => log,
  };
  return { log, lines };
}

export async function startProxy(config: ControlPlaneConfig, more: Partial<AdsProxyDeps> = {}): Promise<AdsProxy> {
  const proxy = createAdsProxy({
    config,
    clock: realClock,
    random: () => 0.5,
    log: noLog,
    metrics: noXdsMetrics,
    hooks: {},
    onBug: (error) => {
      throw error;
    },
    ...more,
  });
  await proxy.listen();
  return proxy;
}
