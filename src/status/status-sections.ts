import type { Millis } from "../foundation/time.ts";
import type { EnvoySnapshot, RestartRecord } from "../process/envoy-snapshot.ts";
import type { Verdict } from "./readiness.ts";
import type { Fact, Mood, StatusSection } from "./status-document.ts";

/** Who has a say in readiness and what each says. */
export function readinessSection({ ready, reason, contributors }: Verdict): StatusSection {
  return {
    key: "readiness",
    title: "Readiness",
    facts: [
      { key: "ready", label: "ready", value: ready, mood: ready ? "good" : "bad" },
      ...(ready ? [] : [{ key: "reason", label: "reason", value: reason }]),
    ],
    table: {
      columns: [
        { key: "name", label: "part" },
        { key: "text", label: "says" },
      ],
      rows: contributors.map((one) => ({
        cells: [one.name, one.text === "" && one.ready ? "ready" : one.text],
        mood: one.ready ? "good" : "bad",
      })),
      empty: "nobody has a say: ready as soon as we serve",
    },
  };
}

const moods: Readonly<Record<EnvoySnapshot["state"], Mood>> = {
  disabled: "good",
  starting: "waiting",
  live: "good",
  draining: "waiting",
  stopping: "waiting",
  stopped: "bad",
};

/** Envoy's state and every process of it that is there. */
export function envoySection(snapshot: EnvoySnapshot, now: Millis): StatusSection {
  const { state, epoch, pid, since, reason, processes } = snapshot;
  return {
    key: "envoy",
    title: "Envoy",
    facts: [
      { key: "state", label: "state", value: state, mood: moods[state] },
      ...(reason === "" ? [] : [{ key: "reason", label: "because", value: reason }]),
      { key: "sinceMs", label: "for", value: now - since, unit: "ms" },
      { key: "epoch", label: "epoch", value: epoch < 0 ? undefined : epoch },
      { key: "pid", label: "process", value: pid },
      ...hotRestartFacts(snapshot),
    ],
    table: {
      columns: [
        { key: "epoch", label: "epoch" },
        { key: "pid", label: "process" },
        { key: "state", label: "state" },
        { key: "ageMs", label: "age", unit: "ms" },
        { key: "tookMs", label: "live after", unit: "ms" },
      ],
      rows: processes.map((one) => ({
        cells: [
          one.epoch,
          one.pid,
          one.state,
          now - one.startedAt,
          one.liveAt === undefined ? undefined : one.liveAt - one.startedAt,
        ],
      })),
      empty: "no process of Envoy is there",
    },
  };
}

/** What is going on beside serving, and what a crash or a restart would find. */
function hotRestartFacts({ state, phase, keptSockets, hotRestartOff }: EnvoySnapshot): readonly Fact[] {
  const facts: Fact[] = [];
  if (phase !== undefined && phase !== state) facts.push({ key: "phase", label: "phase", value: phase });
  if (keptSockets !== undefined) facts.push({ key: "keptSockets", label: "listen sockets kept", value: keptSockets });
  if (hotRestartOff !== undefined)
    facts.push({ key: "hotRestartOff", label: "hot restart is off", value: hotRestartOff, mood: "waiting" });
  return facts;
}

/** The restarts so far and their causes, newest first. */
export function restartsSection(history: readonly RestartRecord[], now: Millis): StatusSection {
  return {
    key: "restarts",
    title: "Restarts of Envoy",
    facts: [],
    table: {
      columns: [
        { key: "agoMs", label: "ago", unit: "ms" },
        { key: "cause", label: "cause" },
        { key: "outcome", label: "outcome" },
        { key: "by", label: "by" },
        { key: "epoch", label: "epoch" },
        { key: "tookMs", label: "took", unit: "ms" },
      ],
      rows: history.toReversed().map(({ at, cause, outcome, by, epoch, tookMs, bad }) => ({
        cells: [now - at, cause, outcome, by ?? "-", epoch ?? "-", tookMs],
        mood: bad === true ? "bad" : "good",
      })),
      wide: true,
      empty: "none so far",
    },
  };
}

export interface ProcessFacts {
  readonly version: string;
  readonly commit: string;
  readonly nodeId: string;
  readonly upMs: Millis;
  readonly residentBytes: number | undefined;
  readonly heapBytes: number;
  /** Of all processes of Envoy together; undefined while there is none. */
  readonly envoyBytes?: number | undefined;
  /** Of the cgroup; undefined when there is none. */
  readonly memoryLimitBytes?: number | undefined;
  readonly openFiles: number | undefined;
  readonly maxFiles: number | undefined;
  /** Armed timers: what grows here while the work stays the same is a leak. */
  readonly timers?: number;
}

/** More than nine tenths of a limit is worth a sign. */
const NEARLY = 0.9;

/** We ourselves. */
export function processSection(facts: ProcessFacts): StatusSection {
  const { residentBytes: used, memoryLimitBytes: limit, openFiles, maxFiles } = facts;
  // The limit is the container's: Envoy's memory counts as well.
  const together = used === undefined ? undefined : used + (facts.envoyBytes ?? 0);
  const full = (value: number | undefined, most: number | undefined): Pick<Fact, "mood"> =>
    value !== undefined && most !== undefined && most > 0 && value > most * NEARLY ? { mood: "bad" } : {};
  return {
    key: "pilotfish",
    title: "pilotfish",
    facts: [
      { key: "version", label: "version", value: `${facts.version} (${facts.commit})` },
      { key: "nodeId", label: "node", value: facts.nodeId },
      { key: "upMs", label: "up", value: facts.upMs, unit: "ms" },
      { key: "residentBytes", label: "memory", value: used, unit: "bytes", ...full(together, limit) },
      { key: "heapBytes", label: "of it heap", value: facts.heapBytes, unit: "bytes" },
      ...(facts.envoyBytes === undefined
        ? []
        : [{ key: "envoyBytes", label: "Envoy's memory", value: facts.envoyBytes, unit: "bytes" as const }]),
      ...(limit === undefined
        ? []
        : [{ key: "memoryLimitBytes", label: "limit", value: limit, unit: "bytes" as const }]),
      { key: "openFiles", label: "open files", value: openFiles, ...full(openFiles, maxFiles) },
      { key: "maxFiles", label: "at most", value: maxFiles },
      ...(facts.timers === undefined ? [] : [{ key: "timers", label: "timers", value: facts.timers }]),
    ],
  };
}
