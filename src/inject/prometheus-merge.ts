import type { Problem } from "../foundation/errors.ts";
import { annotations as names } from "./names.ts";

export interface MetricsMerge {
  /** ISTIO_PROMETHEUS_ANNOTATIONS; undefined when the application exports nothing. */
  readonly application: string | undefined;
  /** What Prometheus shall see on the pod. */
  readonly annotations: Readonly<Record<string, string>>;
}

/** Ports of the proxy itself: scraping them as an application would count everything twice, or nothing. */
const reserved = [15_000, 15_001, 15_004, 15_006, 15_008, 15_020, 15_021, 15_053, 15_090];

/**
 * Prometheus scrapes one address of the pod, the agent's merged page; what the user wrote for the application moves to
 * the agent. Undefined: metrics are not merged, the user's annotations stay.
 */
export function mergeMetrics(
  annotations: ReadonlyMap<string, string>,
  statusPort: number,
  problems: Problem[],
  nameOf: (annotation: string) => string,
): MetricsMerge | undefined {
  const scrape = annotations.get(names.scrape);
  if (scrape !== undefined && scrape.toLowerCase() !== "true") return undefined;
  const port = annotations.get(names.scrapePort);
  const path = annotations.get(names.scrapePath);
  const bad = port === undefined ? undefined : badPort(port, statusPort);
  if (bad !== undefined) problems.push({ name: nameOf(names.scrapePort), text: bad });
  const targets = readTargets(annotations.get(names.scrapeTargets), statusPort, (text) =>
    problems.push({ name: nameOf(names.scrapeTargets), text }),
  );
  const written = { scrape: scrape ?? "", path: path ?? "", port: port ?? "" };
  const some = [scrape, port, path].some((one) => one !== undefined) || targets.length > 0;
  return {
    application: some ? JSON.stringify(targets.length > 0 ? { ...written, targets } : written) : undefined,
    annotations: {
      [names.scrapePort]: String(statusPort),
      [names.scrapePath]: "/stats/prometheus",
      [names.scrape]: "true",
    },
  };
}

/** `9101:/metrics,9102:/metrics`: several ports of one pod, merged in this order (Istio 1.31). */
function readTargets(
  text: string | undefined,
  statusPort: number,
  problem: (text: string) => void,
): readonly { readonly port: string; readonly path: string }[] {
  if (text === undefined || text.trim() === "") return [];
  return text.split(",").flatMap((one) => {
    const [, port = "", path = ""] = /^\s*(\d{1,5})(?::(\S*))?\s*$/.exec(one) ?? [];
    const bad = badPort(port === "" ? one.trim() : port, statusPort);
    if (bad !== undefined) problem(bad);
    return bad === undefined ? [{ port, path: path === "" ? "/metrics" : path }] : [];
  });
}

function badPort(text: string, statusPort: number): string | undefined {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : 0;
  if (port < 1 || port > 65_535) return `${JSON.stringify(text)} is not a port from 1 to 65535`;
  if (port !== statusPort && !reserved.includes(port)) return undefined;
  return `"${text}" is a port of the proxy; name the application's own port`;
}
