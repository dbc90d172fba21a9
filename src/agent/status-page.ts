import type { Millis } from "../foundation/time.ts";
import type { StatusSection } from "../status/status-document.ts";
import { envoySection, processSection } from "../status/status-sections.ts";
import { realClock } from "../system/clock.ts";
import { memoryLimit } from "../system/memory-limit.ts";
import { ownResources } from "../system/own-resources.ts";
import { ownUsage } from "../system/own-usage.ts";
import type { AgentParts } from "./agent.ts";
import { certificateSection, controlPlaneSection } from "./control-plane-sections.ts";
import type { ControlPlaneParts } from "./control-plane-stage.ts";

/** What `/status` shows beside readiness; a part that has something to tell adds its section here. */
export function statusPage({ config, build, envoy, events, controlPlane }: AgentParts) {
  const started = realClock.monotonic();
  return {
    title: `pilotfish ${config.node.id}`,
    sections: () => {
      const now = realClock.monotonic();
      const usage = ownUsage();
      return [
        envoySection(envoy.snapshot(), now),
        processSection({
          version: build.version,
          commit: build.commit,
          nodeId: config.node.nodeId,
          upMs: now - started,
          residentBytes: usage.residentBytes,
          heapBytes: usage.heapUsedBytes,
          memoryLimitBytes: memoryLimit(),
          openFiles: usage.openFiles,
          maxFiles: usage.maxFiles,
          timers: ownResources().timers,
        }),
        ...controlPlaneSections(controlPlane(), now),
        events.section(),
      ];
    },
  };
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
