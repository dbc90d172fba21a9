import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { envoyArguments } from "../../src/process/envoy-command-line.ts";
import { runProgram } from "../../src/system/programs.ts";
import { goldens } from "../bootstrap/goldens.ts";
import { envoy, temporaryFolder } from "../helpers/paths.ts";

/** Every golden through the real Envoy's validate mode, with the very arguments that it will be started with. */
describe("the real Envoy reads every golden bootstrap", () => {
  test.each(goldens.map((one) => [one.name, one] as const))("%s", async (_name, golden) => {
    const folder = temporaryFolder("bootstrap");
    try {
      const rendered = await golden.render();
      const bootstrapPath = join(folder.path, `envoy-rev0.${rendered.format}`);
      writeFileSync(bootstrapPath, rendered.text);
      const { override, facts } = rendered;
      const files = { bootstrapPath, override, setsLogFormat: facts.setsLogFormat };
      const args = ["--mode", "validate", ...envoyArguments(golden.config, files)];
      const { exit, stdout, stderr } = await runProgram(envoy, args, { timeout: 60_000 });
      const said = `${stdout}\n${stderr}`;
      if (golden.envoyRefuses === undefined) {
        expect({ exit, said }).toMatchObject({ exit: { how: "exited", code: 0 } });
        expect(said).not.toMatch(/unknown field/i);
      } else {
        expect(exit).toEqual({ how: "exited", code: 1 });
        expect(said).toContain(golden.envoyRefuses);
      }
    } finally {
      folder.done();
    }
  });
});
