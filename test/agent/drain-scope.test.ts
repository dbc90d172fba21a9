import { expect, test } from "vitest";
import { drainsInboundOnly } from "../../src/agent/drain-scope.ts";
import type { BootstrapFacts, StaticListener } from "../../src/bootstrap/render-bootstrap.ts";
import type { Role } from "../../src/config/agent-config.ts";

const on = (port: number, direction?: "inbound" | "outbound"): StaticListener => ({
  name: `l${port}`,
  addresses: [{ kind: "tcp", host: "0.0.0.0", port }],
  ...(direction === undefined ? {} : { direction }),
});

test.each<readonly [string, Role, BootstrapFacts["listeners"], readonly StaticListener[], boolean]>([
  ["a gateway has no way out of an application", "router", "ads", [], false],
  ["discovered listeners say their direction", "sidecar", "ads", [on(15_021)], true],
  ["listeners of a file that is watched, too", "sidecar", "file", [], true],
  ["a file that says a direction", "sidecar", "none", [on(8_080, "inbound"), on(9_000)], true],
  ["a file that has the way out", "sidecar", "none", [on(8_080), on(15_001)], true],
  ["a file that tells nothing is drained as a whole", "sidecar", "none", [on(8_080), on(15_021)], false],
])("%s", (_title, role, listeners, staticListeners, expected) => {
  expect(drainsInboundOnly(role, { listeners, staticListeners }, 15_001)).toBe(expected);
});
