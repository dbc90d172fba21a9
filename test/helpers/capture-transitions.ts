import { expect } from "vitest";
import type { AllOptions, Engine } from "../../src/capture/capture-options.ts";
import { capture, seedOptions } from "./capture-calls.ts";
import { engineSettings } from "./capture-loads.ts";
import { eventually } from "./eventually.ts";
import { type Actor, startActor } from "./net-actor.ts";
import { kernelSnapshot, makePodAndPeer, type Namespace } from "./network-namespaces.ts";

/** States that a pod's rules can be in; each captures all of the application's traffic, so none may pass directly. */
export const variants: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  redirect: {},
  ports: { "envoy-port": "25001", "inbound-capture-port": "25006", "istio-local-exclude-ports": "15090" },
  tproxy: { "istio-inbound-interception-mode": "TPROXY", "drop-invalid": "true" },
  dns: { "redirect-dns": "true", "capture-all-dns": "true" },
  dual: { "dual-stack": "true" },
  mark: {
    "istio-inbound-interception-mode": "TPROXY",
    "istio-inbound-tproxy-mark": "4242",
    "dual-stack": "true",
    "drop-invalid": "true",
  },
};

export interface State {
  readonly title: string;
  readonly options: AllOptions;
}

export const stateOf = (variant: string, engine: Engine): State => ({
  title: `${variant} by ${engine}`,
  options: seedOptions({ ...variants[variant], ...engineSettings(engine) }),
});

/** Visits every ordered pair of states once, as far as possible in one walk (greedy; the rest by jumps). */
export function walkOfAllPairs<T>(states: readonly T[]): readonly T[] {
  const left = new Map(states.map((from) => [from, states.filter((to) => to !== from)]));
  const [start] = states;
  if (start === undefined) return [];
  const walk = [start];
  for (let at: T = start; ; ) {
    const options = left.get(at) ?? [];
    // Go on to where most is left, so that the walk does not end early.
    const next = options.toSorted((a, b) => (left.get(b)?.length ?? 0) - (left.get(a)?.length ?? 0))[0];
    const jump = states.find((one) => (left.get(one)?.length ?? 0) > 0);
    if (next !== undefined)
      left.set(
        at,
        options.filter((one) => one !== next),
      );
    const to = next ?? jump;
    if (to === undefined) return walk;
    walk.push(to);
    at = to;
  }
}

/** A pod with an application, two stand-ins for Envoy's listeners, and a peer; somebody dials in both directions. */
export interface Scene {
  readonly pod: Namespace;
  readonly peer: Namespace;
  readonly app: Actor;
  readonly outside: Actor;
  done(): void;
}

export async function makeScene(): Promise<Scene> {
  const { pod, peer, done } = makePodAndPeer(["10.77.0.2/24", "fd77::2/64"], ["10.77.0.3/24", "fd77::3/64"]);
  try {
    const [app, outside, proxy] = await Promise.all([
      startActor(pod, 1000),
      startActor(peer, 1000),
      startActor(pod, 1337),
    ]);
    for (const host of ["0.0.0.0", "::"]) {
      for (const port of [15001, 25001]) await proxy.listen(host, port, "outbound");
      for (const port of [15006, 25006]) await proxy.listen(host, port, "inbound");
      await outside.listen(host, 80, "peer");
      await app.listen(host, 8080, "application");
    }
    const actors = [app, outside, proxy];
    const end = (): void => {
      for (const one of [...actors, { done }]) one.done();
    };
    return { pod, peer, app, outside, done: end };
  } catch (error) {
    done();
    throw error;
  }
}

/** The end state of each state when it is the first one: what every way to it must end in. */
export async function freshSnapshots(states: readonly State[]): Promise<ReadonlyMap<State, string>> {
  const fresh = new Map<State, string>();
  for (const state of states) {
    const { pod, done } = makePodAndPeer(["10.77.0.2/24", "fd77::2/64"], []);
    try {
      await capture(pod, state.options);
      fresh.set(state, rulesOnly(pod));
    } finally {
      done();
    }
  }
  return fresh;
}

/** Without what differs from namespace to namespace: routes and addresses of the interface. */
const rulesOnly = (pod: Namespace): string =>
  kernelSnapshot(pod)
    .split("\n")
    .filter((line) => !/eth0|ff00::|^\s*$/.test(line))
    .join("\n");

/**
 * Goes through the states in order while the application and the peer dial without end. Every dial must end at the
 * proxy (or nowhere), never at the other side; what was connected before stays so. `pause`: milliseconds between two
 * dials of one prober (there are four).
 */
export async function transitionsHold(scene: Scene, walk: readonly State[], pause: number): Promise<void> {
  const { pod, app, outside } = scene;
  const fresh = await freshSnapshots([...new Set(walk)]);
  expect(await app.dial("10.77.0.3", 80, { keep: "direct" })).toMatchObject({ at: "peer" });
  expect(await outside.dial("10.77.0.2", 8080, { keep: "direct" })).toMatchObject({ at: "application" });
  const [first] = walk;
  if (first !== undefined) await capture(pod, first.options);
  for (const [actor, v4, v6, port] of [
    [app, "10.77.0.3", "fd77::3", 80],
    [outside, "10.77.0.2", "fd77::2", 8080],
  ] as const) {
    await actor.ask("hammer", { host: v4, port, name: "v4", pause });
    await actor.ask("hammer", { host: v6, port, name: "v6", pause });
  }
  expect(await app.dial("10.77.0.3", 80, { keep: "captured" })).toMatchObject({ at: "outbound" });
  const before = await countOf(app, "v4 outbound");
  await eventually("the prober runs", async () => (await countOf(app, "v4 outbound")) > before);
  for (const state of walk) {
    const { outcome, text } = await capture(pod, state.options);
    expect(outcome, `${state.title}: ${text}`).toBe("done");
    expect(rulesOnly(pod), `${state.title} is as if it were the first`).toBe(fresh.get(state));
  }
  const at = await countOf(app, "v4 outbound");
  await eventually("the prober still runs", async () => (await countOf(app, "v4 outbound")) > at);
  const counts = { app: (await app.ask("counts")).counts ?? {}, outside: (await outside.ask("counts")).counts ?? {} };
  for (const key of ["v4 peer", "v6 peer"])
    expect(counts.app[key] ?? 0, `the application reached the peer: ${key}`).toBe(0);
  for (const key of ["v4 application", "v6 application"])
    expect(counts.outside[key] ?? 0, `the peer reached the application: ${key}`).toBe(0);
  expect(await app.ask("echo", { keep: "direct" })).toMatchObject({ echo: "still there" });
  expect(await outside.ask("echo", { keep: "direct" })).toMatchObject({ echo: "still there" });
  expect(await app.ask("echo", { keep: "captured" })).toMatchObject({ echo: "still there" });
  // The probers would have noticed: without rules they get through.
  const removed = await capture(pod, seedOptions(), { cleanupOnly: true });
  expect(removed.outcome, removed.text).toBe("done");
  const through = async (actor: Actor, key: string): Promise<void> => {
    const seen = async (): Promise<boolean> => (await countOf(actor, key)) > 0;
    await eventually(`a prober gets through: ${key}`, seen).catch(async (error: unknown) => {
      throw new Error(`${String(error)}: ${JSON.stringify(await actor.ask("counts"))}\n${kernelSnapshot(pod)}`, {
        cause: error,
      });
    });
  };
  await through(app, "v4 peer");
  await through(outside, "v6 application");
}

const countOf = async (actor: Actor, key: string): Promise<number> => (await actor.ask("counts")).counts?.[key] ?? 0;
