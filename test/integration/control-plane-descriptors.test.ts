import { spawnSync } from "node:child_process";
import { cpSync, existsSync, readFileSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { build } from "esbuild";
import { afterEach, expect, test } from "vitest";
import { mtls, whole } from "../control-plane/whole.ts";
import { eventually } from "../helpers/eventually.ts";
import { root, temporaryFolder } from "../helpers/paths.ts";

/* Envoy's descriptors are the embedded control plane's alone: a quarter of a megabyte that no supervisor may ever load. */

const ends: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

/** This checkout's program without the descriptors beside it. */
function withoutDescriptors(): string {
  const folder = temporaryFolder("descriptors");
  ends.push(() => folder.done());
  for (const path of ["bin", "dist"])
    cpSync(join(root, path), join(folder.path, path), {
      recursive: true,
      filter: (from) => !from.endsWith("envoy-descriptors.json"),
    });
  symlinkSync(join(root, "node_modules"), join(folder.path, "node_modules"));
  expect(existsSync(join(folder.path, "dist/pilotfish.cjs"))).toBe(true);
  return join(folder.path, "bin/pilotfish");
}

test("the bundle is made of none of them, nor of the package that brings them", async () => {
  const { metafile } = await build({
    absWorkingDir: root,
    entryPoints: ["src/main.ts"],
    bundle: true,
    platform: "node",
    format: "cjs",
    external: ["koffi"],
    logLevel: "silent",
    write: false,
    metafile: true,
    outfile: "none.cjs",
  });
  const inputs = Object.keys(metafile.inputs);
  expect(inputs).toContain("src/cli/run-proxy.ts");
  expect(inputs).toContain("src/protocol/descriptors.json");
  expect(inputs.filter((path) => /grpc-js-xds|envoy-descriptors/.test(path))).toEqual([]);
  // A message that only they describe: neither name nor field of it is in what was built.
  expect(readFileSync(join(root, "dist/envoy-descriptors.json"), "utf8")).toContain("FilterChainMatch");
  expect(readFileSync(join(root, "dist/pilotfish.cjs"), "utf8")).not.toContain("FilterChainMatch");
});

test("`proxy` does all its work where they are missing; `control-plane` says that it needs them", async () => {
  const program = withoutDescriptors();
  const w = await whole();
  ends.push(() => w.done());
  const run = w.start({}, [], { program });
  await eventually("ready", async () => (await w.ready()).status === 200);
  expect(await mtls(w.ports.listener, await w.client())).toMatchObject({ status: 200 });
  run.signal("SIGHUP");
  await run.said(/The new Envoy serves/);
  expect(await mtls(w.ports.listener, await w.client())).toMatchObject({ status: 200 });
  run.signal("SIGTERM");
  expect(await run.exited).toEqual({ code: 0, signal: null });
  const folder = temporaryFolder("descriptors-ca");
  ends.push(() => folder.done());
  const words = ["control-plane", "--directory", folder.path, "--resources", folder.path];
  const { status, stdout, stderr } = spawnSync(program, [...words, "--port=-1", "--plainPort=-1"], {
    encoding: "utf8",
    timeout: 30_000,
  });
  expect(status).toBe(69);
  expect(stdout + stderr).toMatch(/cannot find ".*dist\/envoy-descriptors\.json"/);
});
