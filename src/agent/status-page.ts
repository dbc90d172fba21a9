import { envoySection, processSection } from "../status/status-sections.ts";
import { realClock } from "../system/clock.ts";
import { memoryLimit } from "../system/memory-limit.ts";
import { ownUsage } from "../system/own-usage.ts";
import type { AgentParts } from "./agent.ts";
import { controlPlaneSections } from "./control-plane-sections.ts";

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
        ...controlPlaneSections(controlPlane(), now),
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
        }),
        events.section(),
      ];
    },
  };
}
