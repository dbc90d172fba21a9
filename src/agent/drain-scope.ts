import type { BootstrapFacts, StaticListener } from "../bootstrap/render-bootstrap.ts";
import type { Role } from "../config/agent-config.ts";

/**
 * Whether Envoy drains only its inbound listeners: a sidecar's application still needs the way out. Envoy goes by what
 * each listener says of its direction (`traffic_direction`). A file of one's own that says it nowhere, and has no way
 * out that we know of, would not be drained at all: then all of it is.
 */
export function drainsInboundOnly(
  role: Role,
  { listeners, staticListeners }: Pick<BootstrapFacts, "listeners" | "staticListeners">,
  outboundPort: number,
): boolean {
  if (role !== "sidecar") return false;
  if (listeners !== "none") return true;
  return staticListeners.some((one) => one.direction !== undefined || listensOn(one, outboundPort));
}

const listensOn = ({ addresses }: StaticListener, port: number): boolean =>
  addresses.some((at) => at.kind === "tcp" && at.port === port);
