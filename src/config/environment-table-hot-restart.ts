import type { Variable } from "./environment-variable.ts";

/** How Envoy is replaced while it runs (docs/hot-restart.md). */
export const hotRestartVariables = {
  PILOTFISH_WATCH: {
    kind: "list",
    summary:
      "What replaces Envoy by itself when it changes: `bootstrap` (mesh file, pod information, custom configuration, override, template), `binary`, both with a comma between, or `none`. The flag --watch beats it; without both it is none.",
  },
  PILOTFISH_BASE_ID: {
    kind: "integer",
    summary:
      "Envoy's base-id for hot restarts, 0 to 429496729, its own for every proxy that shares a /dev/shm. The flag --base-id beats it; without both one is drawn.",
  },
  PILOTFISH_PROBATION: {
    kind: "duration",
    default: "10s",
    summary: "How long a new Envoy proves itself beside the old one in a swap. The flag --probation beats it.",
  },
  PILOTFISH_IGNORE_MEMORY: {
    kind: "boolean",
    default: "false",
    summary: "Envoy is replaced although the container's memory may not suffice for two of them.",
  },
} as const satisfies Record<string, Variable>;
