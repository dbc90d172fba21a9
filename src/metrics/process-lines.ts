import type { OwnUsage } from "../system/own-usage.ts";

type Row = readonly [
  name: string,
  type: "counter" | "gauge",
  help: string,
  read: (usage: OwnUsage) => number | undefined,
];

/** The peer's process collector under its prefix, and the runtime's memory in place of the peer's `go_*`. */
export const processMetrics: readonly Row[] = [
  ["istio_agent_process_cpu_seconds_total", "counter", "CPU time of this agent.", (u) => u.cpuSeconds],
  ["istio_agent_process_max_fds", "gauge", "Limit of open files.", (u) => u.maxFiles],
  ["istio_agent_process_open_fds", "gauge", "Open files.", (u) => u.openFiles],
  [
    "istio_agent_process_network_receive_bytes_total",
    "counter",
    "Bytes that came into the pod's network.",
    (u) => u.receivedBytes,
  ],
  [
    "istio_agent_process_network_transmit_bytes_total",
    "counter",
    "Bytes that left the pod's network.",
    (u) => u.sentBytes,
  ],
  ["istio_agent_process_resident_memory_bytes", "gauge", "Resident memory.", (u) => u.residentBytes],
  ["istio_agent_process_start_time_seconds", "gauge", "Unix time of the start.", (u) => u.startTimeSeconds],
  ["istio_agent_process_virtual_memory_bytes", "gauge", "Virtual memory.", (u) => u.virtualBytes],
  [
    "istio_agent_process_virtual_memory_max_bytes",
    "gauge",
    "Limit of virtual memory, -1 without one.",
    (u) => u.virtualLimitBytes,
  ],
  ["pilotfish_runtime_heap_used_bytes", "gauge", "JavaScript heap in use.", (u) => u.heapUsedBytes],
  ["pilotfish_runtime_heap_total_bytes", "gauge", "JavaScript heap taken from the system.", (u) => u.heapTotalBytes],
  ["pilotfish_runtime_external_bytes", "gauge", "Memory of buffers outside the heap.", (u) => u.externalBytes],
];

/** The rows as a page in text format 0.0.4; what could not be read is left out. */
export function processLines(usage: OwnUsage): string {
  return processMetrics
    .map(([name, type, help, read]) => {
      const value = read(usage);
      return value === undefined ? "" : `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n${name} ${value}\n`;
    })
    .join("");
}
