import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { envoy, temporaryFolder } from "./paths.ts";

export interface BreakableEnvoy {
  /** For PILOTFISH_ENVOY. */
  readonly program: string;
  /** From now on it crashes (SIGSEGV) before it is LIVE. */
  break(): void;
  done(): void;
}

/** The real Envoy behind a small script, until it is broken: for ends that crashes lead to. */
export function breakableEnvoy(): BreakableEnvoy {
  const folder = temporaryFolder("breakable");
  const program = join(folder.path, "envoy");
  const words = `#!/bin/sh\ntest -e ${folder.path}/broken && kill -SEGV $$\nexec ${envoy} "$@"\n`;
  writeFileSync(program, words, { mode: 0o755 });
  return {
    program,
    break: () => writeFileSync(join(folder.path, "broken"), ""),
    done: () => folder.done(),
  };
}
