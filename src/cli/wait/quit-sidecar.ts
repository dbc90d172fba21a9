import { describeError } from "../../foundation/errors.ts";
import { type Clock, type Millis, pause } from "../../foundation/time.ts";
import { realClock } from "../../system/clock.ts";
import { fileExists } from "../../system/files.ts";
import { type HttpTarget, httpRequest } from "../../system/http-client.ts";
import { addressesOf } from "../loopback.ts";
import type { QuitPlan } from "./read-wait.ts";

/** Where the sidecar's socket is when both containers share its folder. */
const USUAL_SOCKET = "./etc/istio/proxy/pilotfish.sock";
/** A sidecar that is just restarting must hear it too, or the Job never ends. */
const [TRIES, BETWEEN]: readonly [number, Millis] = [4, 500];
const ANSWER_WITHIN: Millis = 2_000;

/** Asks the sidecar to end; that it did not work is told, and changes nothing else. */
export async function quitSidecar(plan: QuitPlan, err: (text: string) => void): Promise<void> {
  const places = placesOf(plan, there);
  const because = await askToQuit(realClock, places, postQuit);
  if (because === undefined) return;
  err(`pilotfish: cannot end the sidecar: ${because}; where the pod has one, it goes on until it is stopped\n`);
}

/** A socket that is given, or lies where it usually does, before loopback. */
export function placesOf(plan: QuitPlan, exists: (path: string) => boolean): readonly HttpTarget[] {
  const socketPath = plan.socket ?? (exists(USUAL_SOCKET) ? USUAL_SOCKET : undefined);
  const loopback = addressesOf("localhost").map((host) => ({ host, port: plan.statusPort }));
  return socketPath === undefined ? loopback : [{ socketPath }, ...loopback];
}

/** Undefined when one of the places said yes, else what each of them said. */
export async function askToQuit(
  clock: Clock,
  places: readonly HttpTarget[],
  post: (place: HttpTarget) => Promise<string | undefined>,
): Promise<string | undefined> {
  for (let asked = 1; ; asked++) {
    const reasons: string[] = [];
    for (const place of places) {
      const because = await post(place);
      if (because === undefined) return undefined;
      reasons.push(`${nameOf(place)}: ${because}`);
    }
    if (asked >= TRIES) return reasons.join(", ");
    await pause(clock, BETWEEN);
  }
}

async function postQuit(to: HttpTarget): Promise<string | undefined> {
  try {
    const answer = await httpRequest({ to, method: "POST", path: "/quitquitquit", timeout: ANSWER_WITHIN });
    return answer.status >= 200 && answer.status < 300 ? undefined : `the answer is ${answer.status}`;
  } catch (error) {
    return describeError(error);
  }
}

/** A folder that we may not look into is as good as none. */
function there(path: string): boolean {
  try {
    return fileExists(path);
  } catch {
    return false;
  }
}

const nameOf = (place: HttpTarget): string =>
  "socketPath" in place
    ? place.socketPath
    : `${place.host.includes(":") ? `[${place.host}]` : place.host}:${place.port}`;
