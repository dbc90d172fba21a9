import { afterEach, describe, expect, test } from "vitest";
import { type Reached, Scene, states } from "../helpers/lifecycle-states.ts";
import { ask } from "../helpers/proxy.ts";

/* SIGTERM to us in every state of the machine: what is in flight is answered, we end with 0, and nothing is left. */

let scene: Scene;
afterEach(() => scene.done());

async function reach(state: Reached): Promise<void> {
  scene = await Scene.start({ args: state.args ?? [] }, state.before);
  await state.reach(scene);
}

async function endsInOrder(): Promise<void> {
  expect(await scene.proxy.exited, scene.proxy.output).toEqual({ code: 0, signal: null });
  expect(scene.proxy.processes()).toEqual([]);
  expect(scene.proxy.output).not.toMatch(/Killing Envoy|internal error/);
}

test.each(Object.entries(states))("SIGTERM while it is %s", async (_, state) => {
  await reach(state);
  scene.proxy.signal("SIGTERM");
  await scene.proxy.said(/Asked to stop/);
  if (state.inFlight) {
    await scene.proxy.said(/Draining|Stopping after the drain/);
    // Several looks at the connections later it still waits for the answers.
    for (let looks = 0; looks < 5; looks += 1) expect(await scene.phase(), scene.proxy.output).toBe("draining");
  }
  const outcomes = await scene.outcomes();
  expect(outcomes, scene.proxy.output).toEqual(outcomes.map(() => 200));
  await endsInOrder();
});

describe("two Envoys that serve", () => {
  const { yielding } = states;
  test("a request on the old one alone is waited for", async () => {
    await reach({ ...(yielding as Reached), reach: (of) => oldAlone(of) });
    scene.proxy.signal("SIGTERM");
    await scene.proxy.said(/Draining/);
    for (let looks = 0; looks < 5; looks += 1) expect(await scene.phase(), scene.proxy.output).toBe("draining");
    expect(await scene.outcomes()).toEqual([200]);
    await endsInOrder();
  });
  async function oldAlone(of: Scene): Promise<void> {
    await of.ready();
    await of.request();
    await of.post("/hot-restart?strategy=swap");
    await of.in("yielding");
  }
});

describe("POST /drain before Envoy serves", () => {
  test.each(["starting", "starting over kept sockets"])(
    "%s: it drains as soon as it does, and is not ready",
    async (name) => {
      const state = states[name] as Reached;
      await reach(state);
      expect((await scene.post("/drain")).status).toBe(200);
      expect((await scene.readiness()).status).toBe(503);
      scene.envoy.release(1);
      scene.envoy.release(2);
      await scene.in("draining");
      expect((await scene.readiness()).status).toBe(503);
      // Callers that still have the pod in their endpoint list are served until the stop.
      expect((await ask({ port: scene.ports.listener }, "/")).status).toBe(200);
      scene.proxy.signal("SIGTERM");
      await endsInOrder();
    },
  );
});
