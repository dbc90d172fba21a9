import { afterEach, expect, test } from "vitest";
import { eventually } from "../helpers/eventually.ts";
import { Scene } from "../helpers/lifecycle-states.ts";
import { ask } from "../helpers/proxy.ts";

/* An Envoy that stands still for ever: its child waits for it in vain, and another one takes its place. */

let scene: Scene;
afterEach(() => scene.done());

const HANG_IS_FOUND_WITHIN = 90_000;

test("the serving one hangs while its child initializes", async () => {
  scene = await Scene.start({ args: ["--probation", "1s"] }, (envoy) => envoy.hold(2));
  await scene.ready();
  const hung = await scene.proxy.envoyPid();
  scene.proxy.signal("SIGHUP");
  await scene.envoy.held(2);
  process.kill(hung, "SIGSTOP");
  scene.envoy.release(2);
  await eventually(
    "another one has taken over",
    () => /The new Envoy has taken over.*cause=hung/.test(scene.proxy.output),
    HANG_IS_FOUND_WITHIN,
  ).catch((error: unknown) => {
    throw new Error(`${String(error)}\n${scene.proxy.output}`, { cause: error });
  });
  await eventually("the hung one is gone", () => !scene.proxy.processes().includes(hung), HANG_IS_FOUND_WITHIN);
  expect((await ask({ port: scene.ports.listener }, "/")).status).toBe(200);
  // Of the wish for a restart the child was made for, and once only.
  expect(scene.proxy.output.match(/is silent: another Envoy takes its place/g)).toHaveLength(1);
  scene.proxy.signal("SIGTERM");
  expect((await scene.proxy.exited).code, scene.proxy.output).toBe(0);
});
