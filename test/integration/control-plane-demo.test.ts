import { spawn } from "node:child_process";
import { readdirSync } from "node:fs";
import { afterEach, beforeEach, expect, test } from "vitest";
import { pilotfish, temporaryFolder } from "../helpers/paths.ts";

/* The demo, end to end: embedded control plane, certificates, mutual TLS, routes, and every step checked by itself. */

let folder: ReturnType<typeof temporaryFolder>;
const ends: (() => unknown)[] = [];
beforeEach(() => {
  folder = temporaryFolder("demo-test");
});
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
  folder.done();
});

test("every step of the demo is well, and nothing is left", async () => {
  const child = spawn(pilotfish, ["demo", "--once"], {
    cwd: folder.path,
    env: { ...process.env, TMPDIR: folder.path },
    stdio: ["ignore", "pipe", "pipe"],
    // Of its own, so that whatever it started can be ended with it.
    detached: true,
  });
  let said = "";
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding("utf8").on("data", (text: string) => {
      said += text;
    });
  const code = await new Promise<number | null>((resolve) => {
    const deadline = setTimeout(() => process.kill(-(child.pid ?? 0), "SIGKILL"), 100_000);
    child.once("close", (one) => {
      clearTimeout(deadline);
      resolve(one);
    });
  });
  expect({ code, said: code === 0 ? "" : said }).toEqual({ code: 0, said: "" });
  const steps = said.match(/^(ok|failed) .*/gm) ?? [];
  expect(steps.filter((one) => !one.startsWith("ok"))).toEqual([]);
  for (const what of [
    /over mutual TLS, with the certificate/,
    /without a certificate is turned away/,
    /one page of metrics/,
  ])
    expect(steps).toContainEqual(expect.stringMatching(what));
  expect(said).toContain("from spiffe://cluster.local/ns/default/sa/demo");
  expect(readdirSync(folder.path)).toEqual([]);
});
