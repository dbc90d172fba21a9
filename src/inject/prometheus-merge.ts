import type { Problem } from "../foundation/errors.ts";
import { annotations as names } from "./names.ts";

export interface MetricsMerge {
  /** ISTIO_PROMETHEUS_ANNOTATIONS; undefined when the application exports nothing. */
  readonly application: string | undefined;
  /** What Prometheus shall see on the pod. */
  readonly annotations: Readonly<Record<string, string>>;
  /** What was left out, and why. */
  readonly warnings: readonly AnnotationWarning[];
}

export interface AnnotationWarning {
  readonly annotation: string;
  readonly text: string;
}

export interface MergeFacts {
  readonly annotations: ReadonlyMap<string, string>;
  readonly statusPort: number;
  /** The proxy's own ports, and what each is for. */
  readonly proxyPorts: ReadonlyMap<number, string>;
}

interface Target {
  readonly port: string;
  readonly path: string;
}

/**
 * Prometheus scrapes one address of the pod, the agent's merged page; what the user wrote for the application moves to
 * the agent, which must be able to read it: a container that can't start for an annotation would crash for ever.
 * Undefined: metrics are not merged, the user's annotations stay.
 */
export function mergeMetrics(
  facts: MergeFacts,
  problems: Problem[],
  nameOf: (annotation: string) => string,
): MetricsMerge | undefined {
  const scrape = facts.annotations.get(names.scrape);
  if (scrape !== undefined && scrape.toLowerCase() !== "true") return undefined;
  const problem = ({ annotation, text }: AnnotationWarning): void =>
    void problems.push({ name: nameOf(annotation), text });
  const warnings: AnnotationWarning[] = [];
  const reading = new Reading(facts, problem, (warning) => warnings.push(warning));
  const annotations = {
    [names.scrapePort]: String(facts.statusPort),
    [names.scrapePath]: "/stats/prometheus",
    [names.scrape]: "true",
  };
  return { application: applicationOf(facts, reading), annotations, warnings };
}

/** What the agent is told: the targets where somebody names some, else the one of the older annotations. */
function applicationOf({ annotations }: MergeFacts, reading: Reading): string | undefined {
  const scrape = annotations.get(names.scrape) ?? "";
  const path = annotations.get(names.scrapePath) ?? "";
  const port = annotations.get(names.scrapePort) ?? "";
  const pathIsSound = reading.path(names.scrapePath, path);
  const sound = (port === "" || reading.port(names.scrapePort, port)) && pathIsSound;
  const list = annotations.get(names.scrapeTargets) ?? "";
  if (list.trim() !== "") {
    const targets = reading.targets(list);
    return targets.length === 0 ? undefined : JSON.stringify({ scrape, path, port: sound ? port : "", targets });
  }
  const some = [names.scrape, names.scrapePort, names.scrapePath].some((name) => annotations.has(name));
  return some && sound ? JSON.stringify({ scrape, path, port }) : undefined;
}

/** Reads ports and paths; false for one that can't be used, and then it has said so. */
class Reading {
  readonly #ports: ReadonlyMap<number, string>;
  readonly #problem: (problem: AnnotationWarning) => void;
  readonly #warn: (warning: AnnotationWarning) => void;

  constructor(
    { proxyPorts }: MergeFacts,
    problem: (problem: AnnotationWarning) => void,
    warn: (warning: AnnotationWarning) => void,
  ) {
    this.#ports = proxyPorts;
    this.#problem = problem;
    this.#warn = warn;
  }

  port(annotation: string, text: string): boolean {
    const port = /^\d{1,5}$/.test(text) ? Number(text) : 0;
    if (port < 1 || port > 65_535) {
      this.#problem({ annotation, text: `${JSON.stringify(text)} is not a port from 1 to 65535` });
      return false;
    }
    const use = this.#ports.get(port);
    if (use === undefined) return true;
    const why = `port ${port} is the proxy's own (${use}): it is not scraped as the application's`;
    this.#warn({ annotation, text: `${why}; name the application's port` });
    return false;
  }

  path(annotation: string, text: string): boolean {
    if (!/\p{Cc}/u.test(text)) return true;
    const why = `${JSON.stringify(text)} has a control character`;
    this.#problem({ annotation, text: `${why}; use a path such as /metrics` });
    return false;
  }

  /** `9101:/metrics,9102:/metrics`: several ports of one pod, merged in this order (Istio 1.31). */
  targets(list: string): readonly Target[] {
    const annotation = names.scrapeTargets;
    const found = new Map<string, Target>();
    for (const one of list.split(",")) {
      const [, port = one.trim(), path = ""] = /^\s*(\d{1,5})(?::(\S*))?\s*$/.exec(one) ?? [];
      if (!this.port(annotation, port) || !this.path(annotation, path)) continue;
      const target = { port, path: path === "" ? "/metrics" : path };
      const label = `${Number(port)}${target.path.startsWith("/") ? "" : "/"}${target.path}`;
      if (found.has(label)) this.#warn({ annotation, text: `${label} is named more than once; it is scraped once` });
      else found.set(label, target);
    }
    return [...found.values()];
  }
}
