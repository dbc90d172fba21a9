import { type Millis, pause } from "../../foundation/time.ts";
import type { DatagramSockets } from "../../system/datagram-sockets.ts";
import { Asker } from "./asker.ts";
import { encodeRequest } from "./message.ts";
import { type Place, socketName } from "./names.ts";

/**
 * drain-listeners: it closes its listeners and drains (no way back). terminate: it ends itself and its own parent at
 * once. shutdown-admin: it gives its admin away for good.
 */
export type ParentOrder = "drain-listeners" | "terminate" | "shutdown-admin";

/** "no-answer" only for shutdown-admin, the others are not answered: whether it obeys shows by itself. */
export type Told = "told" | "no-answer" | "nobody" | "forbidden" | "full";

const TRY_AGAIN_AFTER: Millis = 20;
const LIMIT: Millis = 2_000;
const LATE: Millis = 30_000;

/**
 * Tells an Envoy that has lost its admin what a child would tell it. `place.epoch` is the one that is told. While
 * shutdown-admin waits for its answer no child of it may be started.
 */
export async function tellParent(
  sockets: DatagramSockets,
  place: Place,
  order: ParentOrder,
  limit: Millis = LIMIT,
): Promise<Told> {
  if (order === "shutdown-admin") return shutAdmin(sockets, place, limit);
  const end = place.clock.monotonic() + limit;
  const [message] = encodeRequest({ ask: order });
  for (;;) {
    const result = sockets.sendTo(socketName(place, "parent", place.epoch), message ?? Buffer.alloc(0));
    if (result === "sent") return "told";
    if (result !== "full" || place.clock.monotonic() >= end) return result;
    await pause(place.clock, TRY_AGAIN_AFTER);
  }
}

async function shutAdmin(sockets: DatagramSockets, place: Place, limit: Millis): Promise<Told> {
  const asker = Asker.open(sockets, place);
  if (!(asker instanceof Asker)) {
    place.log.warn("Cannot tell Envoy to close its admin", { epoch: place.epoch, why: asker.why });
    return "forbidden";
  }
  const answer = await asker.askToShutAdmin(limit);
  if (answer === "no-answer") keepForLate(asker, place);
  else asker.close();
  return answer === "done" ? "told" : answer;
}

/** An Envoy whose late answer nobody takes aborts; one that is silent for so long is killed by somebody. */
function keepForLate(asker: Asker, place: Place): void {
  const cancel = place.clock.after(LATE, () => asker.close());
  asker.onLateAnswer(() => {
    cancel();
    asker.close();
  });
}
