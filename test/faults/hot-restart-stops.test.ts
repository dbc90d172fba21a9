import { afterEach, describe, expect, test } from "vitest";
import { eventually } from "../helpers/eventually.ts";
import { type Reached, Scene, states } from "../helpers/lifecycle-states.ts";

/* Every other way to stop, in every state of the machine. SIGTERM alone: test/integration/hot-restart-stops.test.ts. */

let scene: Scene;
afterEach(() => scene.done());

async function reach(state: Reached): Promise<void> {
  scene = await Scene.start({ args: state.args ?? [] }, state.before);
  await state.reach(scene);
}

async function ends(): Promise<void> {
  expect(await scene.proxy.exited, scene.proxy.output).toEqual({ code: 0, signal: null });
  expect(scene.proxy.processes()).toEqual([]);
  expect(scene.proxy.output).not.toMatch(/internal error/);
}

const all = Object.entries(states);

test.each(all)("POST /quitquitquit while it is %s", async (_, state) => {
  await reach(state);
  expect((await scene.post("/quitquitquit")).status).toBe(200);
  await ends();
  expect(scene.proxy.output).toMatch(/stopped: POST \/quitquitquit/);
});

test.each(all)("SIGTERM twice while it is %s", async (_, state) => {
  await reach(state);
  scene.proxy.signal("SIGTERM");
  await scene.proxy.said(/Asked to stop/);
  scene.proxy.signal("SIGTERM");
  await ends();
  expect(scene.proxy.output).toMatch(/stopped: SIGTERM/);
});

// From a back-off there is no way to live here: every start crashes, and that ends us truthfully.
const drained = all.filter(([name]) => name !== "waiting");

test.each(drained)("POST /drain, then SIGTERM while it is %s", async (_, state) => {
  await reach(state);
  expect((await scene.post("/drain")).status).toBe(200);
  for (const start of [1, 2]) scene.envoy.release(start);
  await scene.in("draining");
  const answer = await scene.readiness();
  expect(answer.status, answer.body).toBe(503);
  scene.proxy.signal("SIGTERM");
  await scene.proxy.said(/Asked to stop/);
  const outcomes = await scene.outcomes();
  expect(outcomes, scene.proxy.output).toEqual(outcomes.map(() => 200));
  await ends();
});

describe("the end itself", () => {
  test("an Envoy that hangs when it is to end is killed, at once when asked again", async () => {
    scene = await Scene.start();
    await scene.ready();
    process.kill(await scene.proxy.envoyPid(), "SIGSTOP");
    await scene.post("/quitquitquit");
    await scene.in("stopping");
    scene.proxy.signal("SIGTERM");
    await ends();
    expect(scene.proxy.output).toMatch(/Killing Envoy/);
  });

  test("in the overlap with a parent that hangs: both are killed after the grace", async () => {
    scene = await Scene.start({ env: { TERMINATION_GRACE_PERIOD: "8s" } });
    await scene.ready();
    const parent = await scene.proxy.envoyPid();
    scene.proxy.signal("SIGHUP");
    await scene.in("overlap");
    process.kill(parent, "SIGSTOP");
    scene.proxy.signal("SIGTERM");
    await ends();
  });

  test("a child that is held in its death is waited for, whoever asks how often", async () => {
    scene = await Scene.start({}, (envoy) => envoy.hold(2));
    await scene.ready();
    scene.proxy.signal("SIGHUP");
    await scene.envoy.held(2);
    for (const what of ["SIGTERM", "SIGHUP", "SIGTERM", "SIGINT"] as const) scene.proxy.signal(what);
    await ends();
    await eventually("the child is gone", () =>
      scene.envoy.starts().every((pid) => !scene.proxy.processes().includes(pid)),
    );
  });
});
