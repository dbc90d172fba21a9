import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { eventually } from "./eventually.ts";
import { envoy, temporaryFolder } from "./paths.ts";

/**
 * An Envoy that a test can hold in its tracks: a wrapper that execs the real one. Serving starts are counted from 1,
 * restarts, swaps and starts after a crash alike; a validation is "validate".
 */
export class HeldEnvoy {
  readonly #folder = temporaryFolder("held");
  /** For PILOTFISH_ENVOY. */
  readonly program = join(this.#folder.path, "envoy");

  constructor() {
    const here = this.#folder.path;
    const text = `#!/bin/sh
case "$*" in
  --version|--hot-restart-version) exec ${envoy} "$@" ;;
  *"--mode validate"*) name=validate ;;
  *) echo $$ >> ${here}/starts; name=$(wc -l < ${here}/starts) ;;
esac
test -e ${here}/crash-$name -o -e ${here}/crash-all && kill -SEGV $$
while test -e ${here}/hold-$name; do : > ${here}/held-$name; sleep 0.05; done
exec ${envoy} "$@"
`;
    writeFileSync(this.program, text, { mode: 0o755 });
  }

  /** That start (or "validate") waits before it execs. */
  hold(name: number | "validate"): void {
    writeFileSync(join(this.#folder.path, `hold-${name}`), "");
  }

  release(name: number | "validate"): void {
    rmSync(join(this.#folder.path, `hold-${name}`), { force: true });
  }

  /** That start crashes before it is LIVE; or every one from now on. */
  crash(name: number | "all"): void {
    writeFileSync(join(this.#folder.path, `crash-${name}`), "");
  }

  heal(name: number | "all"): void {
    rmSync(join(this.#folder.path, `crash-${name}`), { force: true });
  }

  /** Resolves when it waits. */
  held(name: number | "validate"): Promise<true> {
    return eventually(`start ${name} is held`, () => existsSync(join(this.#folder.path, `held-${name}`)) || undefined);
  }

  /** Process ids of all serving starts so far, in order. */
  starts(): readonly number[] {
    const path = join(this.#folder.path, "starts");
    return existsSync(path) ? readFileSync(path, "utf8").trim().split("\n").map(Number) : [];
  }

  done(): void {
    this.#folder.done();
  }
}
