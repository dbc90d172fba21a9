import { chmodSync, renameSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { temporaryFolder } from "../paths.ts";

/** The file that PILOTFISH_ENVOY names, which becomes another one by a rename as docs/hot-restart.md has it. */
export class Binary {
  readonly #folder = temporaryFolder("binary");

  constructor(to: string) {
    this.become(to);
  }

  get path(): string {
    return join(this.#folder.path, "envoy");
  }

  /** A link to that Envoy. */
  become(to: string): void {
    symlinkSync(to, `${this.path}.new`);
    renameSync(`${this.path}.new`, this.path);
  }

  /** A shell script: `exec` the real Envoy in it. Files of the test's own go beside it, $here. */
  becomeScript(text: string): void {
    writeFileSync(`${this.path}.new`, `#!/bin/sh\nhere=${this.#folder.path}\n${text}\n`);
    chmodSync(`${this.path}.new`, 0o755);
    renameSync(`${this.path}.new`, this.path);
  }

  /** A file beside it. */
  beside(name: string): string {
    return join(this.#folder.path, name);
  }

  /** An empty file beside it. */
  create(name: string): void {
    writeFileSync(this.beside(name), "");
  }

  done(): Promise<void> {
    this.#folder.done();
    return Promise.resolve();
  }
}
