import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

/** The checkout. */
export const root = fileURLToPath(new URL("../..", import.meta.url)).replace(/\/$/, "");
/** The built program's launcher. */
export const pilotfish = join(root, "bin/pilotfish");
/** The real Envoy that set-up fetched, or the one that PILOTFISH_ENVOY names. */
export const envoy = process.env["PILOTFISH_ENVOY"] ?? join(root, ".envoy/bin/envoy");
/** The newest Envoy of the release before, fetched by set-up too, or the one that PILOTFISH_ENVOY_PREVIOUS names. */
export const previousEnvoy =
  process.env["PILOTFISH_ENVOY_PREVIOUS"] ??
  join(
    root,
    ".envoy",
    (JSON.parse(readFileSync(join(root, "scripts/envoy.json"), "utf8")) as { previous: string }).previous,
    "envoy",
  );

/** A folder of the test's own; `done` removes it. */
export function temporaryFolder(name = "test"): { readonly path: string; readonly done: () => void } {
  const path = mkdtempSync(join(tmpdir(), `pilotfish-${name}-`));
  return { path, done: () => rmSync(path, { recursive: true, force: true }) };
}
