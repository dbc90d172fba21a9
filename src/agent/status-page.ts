import type { Millis } from "../foundation/time.ts";
import type { EnvoySnapshot } from "../process/envoy-snapshot.ts";
import type { LastScrapes } from "../status/last-scrapes.ts";
import type { StatusSection } from "../status/status-document.ts";
import { envoySection, processSection, restartsSection } from "../status/status-sections.ts";
import { realClock } from "../system/clock.ts";
import { memoryLimit } from "../system/memory-limit.ts";
import { ownResources } from "../system/own-resources.ts";
import { ownUsage } from "../system/own-usage.ts";
import { residentBytesOf } from "../system/process-memory.ts";
import type { AgentParts, ControlPlaneParts } from "./agent-parts.ts";
import { certificateSection, controlPlaneSection } from "./control-plane-sections.ts";
import { stopSection } from "./stop-section.ts";

/** What `/status` shows beside readiness; a part that has something to tell adds its section here. */
export function statusPage(parts: AgentParts, scrapes: LastScrapes) {
  const { config, envoy, events } = parts;
  const started = realClock.monotonic();
  return {
    title: `pilotfish ${config.node.id}`,
    sections: () => {
      const now = realClock.monotonic();
      return [
        ...stateSections(parts, now - started),
        stopSection(envoy.snapshot(), config.stop, now),
        scrapes.section(),
        events.section(),
      ];
    },
  };
}

/** How everything stands; also what is left behind after an unexpected end. */
export function stateSections(parts: AgentParts, upMs: Millis): readonly StatusSection[] {
  const { config, build, envoy, controlPlane } = parts;
  const now = realClock.monotonic();
  const usage = ownUsage();
  const snapshot = envoy.snapshot();
  return [
    envoySection(snapshot, now),
    ...(snapshot.history === undefined ? [] : [restartsSection(snapshot.history, now)]),
    processSection({
      version: build.version,
      commit: build.commit,
      nodeId: config.node.nodeId,
      upMs,
      residentBytes: usage.residentBytes,
      heapBytes: usage.heapUsedBytes,
      envoyBytes: memoryOfEnvoy(snapshot),
      memoryLimitBytes: memoryLimit(),
      openFiles: usage.openFiles,
      maxFiles: usage.maxFiles,
      timers: ownResources().timers,
    }),
    ...controlPlaneSections(controlPlane(), now),
  ];
}

/** Of all its processes: during a hot restart there are two. */
function memoryOfEnvoy({ processes }: EnvoySnapshot): number | undefined {
  const sizes = processes.flatMap(({ pid }) => (pid === undefined ? [] : [residentBytesOf(pid) ?? 0]));
  return sizes.length === 0 ? undefined : sizes.reduce((sum, size) => sum + size, 0);
}

/** Nothing when the bootstrap needs no control plane. */
function controlPlaneSections(parts: ControlPlaneParts | undefined, now: Millis): readonly StatusSection[] {
  if (parts === undefined) return [];
  const { identity, sds, xds } = parts;
  return [
    certificateSection(identity.status(), sds.status(), realClock.wall()),
    controlPlaneSection(xds.status(), now),
  ];
}
