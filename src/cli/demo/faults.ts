import { realClock } from "../../system/clock.ts";
import { type HttpAnswer, httpRequest } from "../../system/http-client.ts";
import { sendSignal } from "../../system/process.ts";

export type Get = (port: number, path: string) => Promise<HttpAnswer>;

/** Between two requests of the demo's caller, which waits for each answer. */
const PAUSE = 5;

export interface Counted {
  readonly answered: number;
  /** Connections that nobody accepted. */
  readonly refused: number;
  /** Requests that were under way on an Envoy that died. */
  readonly lost: number;
}

/** Calls again and again, each time on a new connection and never twice, until `work` is done and a moment longer. */
export async function callWhile(get: Get, port: number, work: () => Promise<unknown>): Promise<Counted> {
  let [answered, refused, lost] = [0, 0, 0];
  let done = false;
  const worked = work().finally(() => {
    done = true;
  });
  for (let more = 100; more > 0; more -= done ? 1 : 0) {
    try {
      const { status } = await get(port, "/");
      if (status === 200) answered += 1;
      else lost += 1;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ECONNREFUSED") refused += 1;
      else lost += 1;
    }
    await new Promise<void>((resolve) => realClock.after(PAUSE, resolve));
  }
  await worked;
  return { answered, refused, lost };
}

interface EnvoyFacts {
  readonly epoch: number;
  readonly pid: number;
}

/** What the status of the running proxy says of Envoy. */
export async function envoyNow(socketPath: string): Promise<EnvoyFacts> {
  const answer = await httpRequest({ to: { socketPath }, path: "/status?format=json", timeout: 5_000 });
  const { envoy } = JSON.parse(answer.body.toString()) as { readonly envoy: EnvoyFacts & { readonly state: string } };
  if (envoy.state !== "live") throw new Error(`Envoy is ${envoy.state}`);
  return envoy;
}

/** SIGKILL to Envoy; resolves when the next epoch serves. */
export async function killEnvoy(socketPath: string): Promise<number> {
  const { pid, epoch } = await envoyNow(socketPath);
  sendSignal(pid, "SIGKILL");
  const end = realClock.monotonic() + 20_000;
  for (;;) {
    const now = await envoyNow(socketPath).catch(() => undefined);
    if (now !== undefined && now.epoch !== epoch) return now.epoch;
    if (realClock.monotonic() > end) throw new Error("no other Envoy is live after 20 s");
    await new Promise<void>((resolve) => realClock.after(50, resolve));
  }
}

/** Asks for a hot restart; resolves with its outcome in words. */
export async function hotRestart(socketPath: string): Promise<string> {
  const to = { socketPath };
  const answer = await httpRequest({ to, method: "POST", path: "/hot-restart?wait", timeout: 60_000 });
  const text = answer.body.toString().trim();
  if (answer.status !== 200) throw new Error(`${answer.status}: ${text}`);
  return text;
}
