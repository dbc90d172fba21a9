// Run by control-plane.ts in a process of its own: rotates a certificate N times against the control plane at PORT, with a
// clock on which short waits take a thousandth of their time, and prints its memory on the way.
import { noLog } from "../src/foundation/log.ts";
import type { Clock } from "../src/foundation/time.ts";
import { noIdentityMetrics } from "../src/identity/identity-metrics.ts";
import { createWorkloadIdentity } from "../src/identity/workload-identity.ts";
import { realClock } from "../src/system/clock.ts";

const [config = "{}", rounds = "1000"] = process.argv.slice(2);
/** The least holding time is one; the deadline of a call is none. */
const clock: Clock = {
  monotonic: () => realClock.monotonic(),
  wall: () => realClock.wall(),
  after: (delay, fire) => realClock.after(delay <= 1_000 ? delay / 1_000 : delay, fire),
};
const identity = createWorkloadIdentity({
  config: JSON.parse(config),
  clock,
  random: () => 0.5,
  log: noLog,
  metrics: noIdentityMetrics,
});
const show = (): void => {
  globalThis.gc?.();
  const { rss, heapUsed, external } = process.memoryUsage();
  process.stdout.write(`${JSON.stringify({ rotations: identity.status().rotations, rss, heapUsed, external })}\n`);
};
identity.onChange(() => {
  const { rotations } = identity.status();
  if (rotations === 100 || rotations === Number(rounds)) show();
  if (rotations >= Number(rounds)) process.exit(0);
});
identity.start();
