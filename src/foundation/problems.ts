import { InvalidConfig, type Problem } from "./errors.ts";

/** Collects everything that is wrong, so that an operator repairs it in one go. */
export class Problems {
  readonly #found: Problem[] = [];

  /** `name`: the flag, variable or key as the user wrote it; `text`: the value in quotes, what is allowed, what to do. */
  add(name: string, text: string): void {
    this.#found.push({ name, text });
  }

  get all(): readonly Problem[] {
    return this.#found;
  }

  /** Throws InvalidConfig with all problems if there is one. */
  throwIfAny(heading?: string): void {
    if (this.#found.length > 0) throw new InvalidConfig(this.#found, heading);
  }
}
