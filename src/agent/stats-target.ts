import type { EnvoySnapshot } from "../process/envoy-snapshot.ts";
import type { HttpTarget } from "../system/http-client.ts";

/**
 * Where Envoy is asked for its statistics, of its admin and its own listener for them (15090); undefined when it has
 * neither. A single Envoy is asked itself: the listener would only pass the question on, and a page of a megabyte is
 * half a millisecond longer on its way through it. While two Envoys change places the listener leads to the one whose
 * counters go on (hot-restart.md 9), and while the admin is nobody's, or a child's, to what there is.
 */
export function statsTarget(
  { processes, adminAnswers }: EnvoySnapshot,
  admin: HttpTarget | undefined,
  listener: HttpTarget | undefined,
): HttpTarget | undefined {
  if (listener === undefined) return admin;
  return processes.length === 1 && adminAnswers !== false ? (admin ?? listener) : listener;
}
