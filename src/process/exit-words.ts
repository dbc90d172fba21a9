import type { ExitReport } from "../system/programs.ts";

const signalWords: Readonly<Record<string, string>> = {
  SIGABRT: "it aborted itself after a failed check; its last log lines say which",
  SIGBUS: "bus error: often a full /dev/shm",
  SIGILL: "illegal instruction: this binary is not made for this processor",
  SIGKILL: "somebody killed it: the kernel for memory, the container runtime, or a person",
  SIGSEGV: "it crashed: segmentation fault",
  SIGTERM: "somebody asked it to end",
  SIGTRAP: "it crashed: a failed check",
};

/** How a program ended, in words; `outOfMemory` is true only when the cgroup has proven it. */
export function exitInWords(exit: ExitReport, outOfMemory = false): string {
  if (exit.how === "exited") return exit.code === 0 ? "ended with exit code 0" : `ended with exit code ${exit.code}`;
  if (outOfMemory && exit.signal === "SIGKILL") {
    return "was killed by SIGKILL (out of memory: the kernel's counter of this container's memory limit went up)";
  }
  const words = signalWords[exit.signal];
  return `was killed by ${exit.signal}${words === undefined ? "" : ` (${words})`}`;
}
